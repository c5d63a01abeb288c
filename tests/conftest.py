"""Shared by all tests: double precision, and shapes checked as they are annotated."""

import jax
import pytest
from jaxtyping import install_import_hook

jax.config.update("jax_enable_x64", True)
# The doors that users come through (spaces, simulators, ensembles, studies) refuse wrong types in their
# own words, which tests check; behind them every annotated shape is checked.
install_import_hook(
    [
        "physsynth.calibrate",
        "physsynth.core.constraints",
        "physsynth.core.integrators",
        "physsynth.evaluate",
        "physsynth.require",
    ],
    "beartype.beartype",
).__enter__()


@pytest.fixture(scope="session")
def key():
    return jax.random.key(20240607)
