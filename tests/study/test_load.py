"""What a study's stages depend on: its file, and the code of its simulator."""

from functools import partial
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

from physsynth.study import execute
from physsynth.study.load import load_study

STUDIES = Path(__file__).parents[2] / "experiments"


def test_a_byte_order_mark_is_no_part_of_a_study(tmp_path):
    text = (STUDIES / "first_passage.toml").read_text()
    (tmp_path / "marked.toml").write_text("\ufeff" + text)
    assert load_study(tmp_path / "marked.toml").tables == load_study(STUDIES / "first_passage.toml").tables


def test_a_changed_neighbour_of_a_simulator_changes_the_digest(tmp_path, monkeypatch):
    package = tmp_path / "lifting_gear"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "rope.py").write_text("STRENGTH = 1.0\n")
    (package / "crane.py").write_text(
        "from lifting_gear.rope import STRENGTH\n\ndef lift(p):\n    return {}\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    lift = import_module("lifting_gear.crane").lift
    monkeypatch.setattr(execute, "find", lambda name: SimpleNamespace(function=partial(lift)))
    before = execute.sources_digest.__wrapped__("lifting/crane")
    assert execute.sources_digest.__wrapped__("lifting/crane") == before
    (package / "rope.py").write_text("STRENGTH = 2.0\n")
    assert execute.sources_digest.__wrapped__("lifting/crane") != before
