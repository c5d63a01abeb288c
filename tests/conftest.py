"""Shared by all tests: double precision, and shapes checked as they are annotated."""

import jax
import pytest
from jaxtyping import install_import_hook

jax.config.update("jax_enable_x64", True)
install_import_hook("physsynth", "checking.typecheck").__enter__()


@pytest.fixture(scope="session")
def key():
    return jax.random.key(20240607)
