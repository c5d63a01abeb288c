"""The run-time checker of the tests: shapes and types of JAX arrays, as they are annotated.

Other annotations are for readers and for pyright; at the doors, wrong types are refused in our own words.
"""

import jax
from beartype import beartype


def typecheck(function):
    """Check those annotations of a function that are shaped JAX arrays."""
    annotations = getattr(function, "__annotations__", {})
    function.__annotations__ = {name: kind for name, kind in annotations.items() if _is_shaped(kind)}
    return beartype(function)


def _is_shaped(kind) -> bool:
    return getattr(kind, "array_type", None) is jax.Array
