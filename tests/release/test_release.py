"""A release verifies as built, repeats byte by byte, and any later change is found and named."""

import json
import time

import h5py
import numpy as np
import pytest
import xarray as xr

import physsynth as ps
from physsynth.core.errors import OutputError, ReleaseError
from physsynth.release import manifest
from physsynth.release.contract import SumPromise

PROBABILITY = 0.0071
LINEAGE = {"seed": 7, "command": "physsynth run theophylline.toml", "source": {"sha256": "ab" * 32}}


def scenarios(n=20):
    rng = np.random.default_rng(0)
    weight = rng.dirichlet(np.ones(n)) * PROBABILITY
    return xr.Dataset(
        {
            "clearance": ("scenario", rng.lognormal(1.0, 0.3, n), {"units": "L/h", "valid_min": 0.0}),
            "weight": ("scenario", weight, {"units": "1", "long_name": "share of the probability"}),
            "mode": ("scenario", np.where(weight > weight.mean(), "clearance low", "volume low")),
            "status": ("scenario", np.zeros(n, np.int8), {"flag_masks": np.array([1, 2], np.int8)}),
            "missed": ("scenario", weight > weight.mean()),
            "concentration": (("scenario", "time"), rng.uniform(0, 30, (n, 5)), {"units": "mg/L"}),
        },
        {"time": ("time", np.arange(5.0), {"units": "h"})},
        {"title": "overdoses"},
    )


def built(folder, datasets=None, **changes):
    datasets = datasets or {"scenarios": scenarios()}
    contract = ps.release.Contract.of(datasets, sums={("scenarios", "weight"): PROBABILITY})
    arguments = {
        "title": "overdoses",
        "lineage": LINEAGE,
        "contract": contract,
        "files": {"study.toml": b"seed = 7"},
    }
    return ps.release.build(folder, datasets, **{**arguments, **changes})


def failed(folder):
    return [row.name for row in ps.release.verify(folder).failures]


def contents(folder):
    return {str(item.relative_to(folder)): item.read_bytes() for item in folder.rglob("*") if item.is_file()}


def rehash(folder):
    """Make every digest fit the bytes again, as somebody would who wants to hide a change."""
    tree = json.loads((folder / "manifest.json").read_bytes())
    for name in tree["files"]:
        data = (folder / name).read_bytes()
        tree["files"][name] = {"sha256": manifest.sha256(data), "size": len(data)}
    tree["digest"] = manifest.digest(tree)
    (folder / "manifest.json").write_bytes(manifest.canonical(tree))


def test_a_release_verifies_as_built_and_says_so_row_by_row(tmp_path):
    verification = ps.release.verify(built(tmp_path / "release"))
    assert verification.passed
    names = [row.name for row in verification.rows]
    assert {"manifest.json", "scenarios.nc", "study.toml", "README.md", "scenarios: weight"} <= set(names)
    assert json.loads(json.dumps(verification.summary()))["passed"] is True


def test_xarray_and_h5py_both_open_the_dataset_with_units(tmp_path):
    folder, wanted = built(tmp_path / "release"), scenarios()
    with xr.open_dataset(folder / "scenarios.nc") as dataset:
        xr.testing.assert_identical(dataset.load().drop_attrs(), wanted.drop_attrs())
        assert dataset.concentration.attrs["units"] == "mg/L"
        assert dataset.attrs["Conventions"].startswith("CF-")
    with h5py.File(folder / "scenarios.nc") as file:
        np.testing.assert_array_equal(file["weight"][()], wanted.weight)  # pyright: ignore[reportIndexIssue]
        assert file["clearance"].attrs["units"] == "L/h"


def test_the_manifest_holds_lineage_versions_and_digests_that_others_can_recompute(tmp_path):
    folder = built(tmp_path / "release")
    tree = json.loads((folder / "manifest.json").read_bytes())
    assert tree["lineage"] == LINEAGE
    assert tree["command"] == LINEAGE["command"]
    assert set(tree["files"]) == set(contents(folder)) - {"manifest.json"}
    assert {"python", "physsynth", "jax", "jaxlib", "numpyro", "xarray", "h5py", "numpy"} <= set(
        tree["versions"]
    )
    assert tree["files"]["study.toml"]["size"] == len(b"seed = 7")


def test_the_same_inputs_give_the_same_bytes_at_another_time(tmp_path):
    first = contents(built(tmp_path / "first"))
    time.sleep(1.1)  # HDF5 time stamps, if there were any, count in seconds
    stored = scenarios()
    stored["clearance"].encoding = {"zlib": True, "chunksizes": (5,)}
    assert contents(built(tmp_path / "second", {"scenarios": stored})) == first


@pytest.mark.parametrize("where", [0.001, 0.3, 0.5, 0.999])
def test_a_flipped_bit_anywhere_is_found(tmp_path, where):
    folder = built(tmp_path / "release")
    data = bytearray((folder / "scenarios.nc").read_bytes())
    data[int(where * len(data))] ^= 1
    (folder / "scenarios.nc").write_bytes(data)
    assert failed(folder) == ["scenarios.nc", "scenarios: contract"]


def test_a_missing_and_an_added_file_are_named(tmp_path):
    folder = built(tmp_path / "release")
    (folder / "study.toml").rename(folder / "other.toml")
    assert failed(folder) == ["study.toml", "nothing else in the folder"]


def test_a_link_does_not_stand_for_a_file(tmp_path):
    folder = built(tmp_path / "release")
    (tmp_path / "elsewhere").write_bytes((folder / "study.toml").read_bytes())
    (folder / "study.toml").unlink()
    (folder / "study.toml").symlink_to(tmp_path / "elsewhere")
    assert failed(folder) == ["study.toml"]


@pytest.mark.parametrize(
    "edit", [lambda text: text + " ", lambda text: text.replace("{", '{"format": "", ', 1)]
)
def test_bytes_added_to_a_manifest_are_seen(tmp_path, edit):
    folder = built(tmp_path / "release")
    path = folder / "manifest.json"
    path.write_text(edit(path.read_text()))
    assert failed(folder) == ["manifest.json"]


def test_an_edited_manifest_betrays_itself(tmp_path):
    folder = built(tmp_path / "release")
    text = (folder / "manifest.json").read_text()
    (folder / "manifest.json").write_text(text.replace('"seed": 7', '"seed": 8'))
    assert failed(folder) == ["manifest.json"]


def test_a_changed_weight_is_found_by_the_contract_even_with_all_digests_made_to_fit(tmp_path):
    folder = built(tmp_path / "release")
    with h5py.File(folder / "scenarios.nc", "r+") as file:
        file["weight"][0] = 0.0  # pyright: ignore
    rehash(folder)
    assert failed(folder) == ["scenarios: sum of weight"]


@pytest.mark.parametrize(
    ("change", "row"),
    [
        (lambda d: d.assign(clearance=-d.clearance), "scenarios: clearance"),
        (lambda d: d.assign(clearance=d.clearance.where(d.clearance > 3)), "scenarios: clearance"),
        (lambda d: d.assign(clearance=d.clearance.assign_attrs(units="mL/min")), "scenarios: clearance"),
        (lambda d: d.assign(status=d.status.astype("int64")), "scenarios: status"),
        (lambda d: d.drop_vars("missed"), "scenarios: missed"),
        (lambda d: d.assign(more=d.weight), "scenarios: nothing else"),
        (lambda d: d.isel(time=slice(3)), "scenarios: dimensions"),
        (lambda d: d.assign(concentration=d.concentration.transpose()), "scenarios: concentration"),
    ],
)
def test_every_promise_of_the_contract_is_checked(change, row):
    contract = ps.release.Contract.of(
        {"scenarios": scenarios()}, bounds={("scenarios", "clearance"): (0.0, None)}
    )
    again = ps.release.Contract.from_json(json.loads(json.dumps(contract.to_json())))
    assert again == contract
    assert all(line.passed for line in again.rows("scenarios", scenarios()))
    assert [line.name for line in again.rows("scenarios", change(scenarios())) if not line.passed] == [row]


def test_bounds_are_read_from_cf_attributes_and_sums_may_be_looser():
    data = scenarios()
    contract = ps.release.Contract.of({"a": data}, sums={("a", "weight"): SumPromise(0.00711, 0.01)})
    assert contract.datasets["a"].variables["clearance"].lower == 0.0
    assert all(row.passed for row in contract.rows("a", data))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"lineage": {"seed": np.arange(3)}}, "lineage"),
        ({"lineage": {"rate": float("nan")}}, "lineage"),
        ({"files": {"../study.toml": b""}}, "leaves the folder"),
        ({"files": {"manifest.json": b""}}, "taken"),
        ({"contract": {"format": "physsynth.contract/0"}}, "contract"),
        ({"datasets": {"scenarios": scenarios().assign_attrs(note={"a": 1})}}, "datasets.scenarios"),
        ({"datasets": {"scenarios": scenarios().assign(weight=2 * scenarios().weight)}}, "sum of weight"),
    ],
)
def test_what_cannot_be_released_is_refused_and_the_earlier_release_stays(tmp_path, changes, said):
    before = contents(built(tmp_path / "release"))
    with pytest.raises(ReleaseError, match=said):
        built(tmp_path / "release", **changes)
    assert contents(tmp_path / "release") == before


def test_a_folder_of_something_else_is_never_replaced(tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1.tex").write_text("years of work")
    with pytest.raises(ReleaseError, match="something else"):
        built(tmp_path / "thesis")
    assert (tmp_path / "thesis" / "chapter1.tex").read_text() == "years of work"


def test_leftovers_of_a_killed_build_do_no_harm(tmp_path):
    (tmp_path / ".release.building").mkdir()
    (tmp_path / ".release.building" / "half.nc").write_bytes(b"half")
    assert ps.release.verify(built(tmp_path / "release")).passed
    assert ps.release.verify(built(tmp_path / "release", title="again")).title == "again"
    assert [item.name for item in tmp_path.iterdir()] == ["release"]


def test_a_folder_that_cannot_be_written_is_an_output_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write"):
        built(tmp_path / "file" / "release")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        '{"format": "other/1"}',
        '{"format": "physsynth.release/1", "title": "t", "digest": "d"}',
        '{"format": "physsynth.release/1", "title": "t", "digest": "d", "files": {"../x": {}}}',
        '{"format": "physsynth.release/1", "title": "t", "digest": "d", "files": {"x": {"sha256": 1}}}',
    ],
)
def test_a_damaged_manifest_is_an_error_with_advice(tmp_path, text):
    folder = built(tmp_path / "release")
    (folder / "manifest.json").write_text(text)
    with pytest.raises(ReleaseError, match="damaged manifest") as caught:
        ps.release.verify(folder)
    assert caught.value.advice


def test_what_is_no_release_is_an_error_with_advice(tmp_path):
    for place in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(ReleaseError, match="not a release") as caught:
            ps.release.verify(place)
        assert caught.value.advice
