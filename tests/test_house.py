"""The house: imports point one way, importing is cheap, and the public names are there."""

import ast
import subprocess
import sys
import time
from pathlib import Path

import jax.numpy as jnp
import pytest
from jaxtyping import TypeCheckError

import physsynth as ps
from physsynth.core import rk4

ROOT = Path(__file__).parent.parent
ROOMS = {"pinn", "rare", "calibrate", "require", "evaluate", "release"}
ALLOWED = {
    "core": {"core"},
    **{room: {"core", room} for room in ROOMS},
    "simulators": {"core"},
    "report": {"core", "report"},
}


def _imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _files(room):
    return sorted((ROOT / "simulators" if room == "simulators" else ROOT / "physsynth" / room).rglob("*.py"))


@pytest.mark.parametrize("room", sorted(room for room in ALLOWED if _files(room)))
def test_imports_point_one_way(room):
    houses = {path.name.removesuffix(".py") for path in (ROOT / "physsynth").iterdir()}
    for path in _files(room):
        for name in _imports(path):
            part = name.split(".")
            if part[0] == "physsynth" and len(part) > 1 and part[1] in houses:
                assert part[1] in ALLOWED[room], f"{path.relative_to(ROOT)} imports {name}"


def test_every_public_name_loads():
    for name in ps.__all__:
        assert getattr(ps, name) is not None


def test_help_needs_no_jax_and_is_quick():
    program = (
        "import sys; from physsynth.cli import app\n"
        "try: app(['--help'])\nexcept SystemExit: pass\n"
        "assert 'jax' not in sys.modules and 'numpy' not in sys.modules"
    )
    times = []
    for _ in range(3):
        start = time.perf_counter()
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
        times.append(time.perf_counter() - start)
        assert done.returncode == 0, done.stderr
        assert "Usage" in done.stdout
    # 0.5 s on a quiet machine; the bound leaves room for other tests on the same cores.
    assert min(times) < 1.0


def test_import_changes_no_global_state_of_jax():
    program = (
        "import jax; before = dict(jax.config.values)\n"
        "import physsynth as ps; [getattr(ps, n) for n in ps.__all__]; ps.simulator('driving/braking')\n"
        "assert dict(jax.config.values) == before"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_annotated_shapes_are_checked():
    with pytest.raises(TypeCheckError, match="times"):
        rk4(lambda t, y: -y, jnp.asarray(1.0), jnp.zeros((2, 2)))
