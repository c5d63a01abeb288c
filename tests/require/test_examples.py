"""The examples in the docstrings run and show what they say."""

import doctest
from importlib import import_module

import pytest

MODULES = [
    "demonstration",
    "engine",
    "learning_curve",
    "monitor",
    "pairs",
    "population",
    "precision",
    "rates",
    "regime",
    "requirement",
    "statement",
    "worth",
]


@pytest.mark.parametrize("module", MODULES)
def test_examples(module):
    outcome = doctest.testmod(import_module(f"physsynth.require.{module}"))
    assert outcome.attempted > 0
    assert outcome.failed == 0
