"""Files that appear whole or not at all."""

import numpy as np
import pytest
import xarray as xr

from physsynth.core import files
from physsynth.core.errors import DataError


def test_what_is_written_is_read_and_has_the_same_bytes_again(tmp_path):
    data = xr.Dataset({"x": ("scenario", np.arange(3.0), {"units": "m"})})
    first, second = (files.write(tmp_path / name, data).read_bytes() for name in ("a.nc", "b.nc"))
    assert first == second
    xr.testing.assert_identical(files.read(tmp_path / "a.nc"), data)


@pytest.mark.parametrize("read", [files.read, files.read_tree])
def test_missing_and_damaged_files_are_said(read, tmp_path):
    with pytest.raises(DataError, match="no such file"):
        read(tmp_path / "missing.nc")
    (tmp_path / "junk.nc").write_bytes(b"junk" * 99)
    with pytest.raises(DataError, match="HDF5"):
        read(tmp_path / "junk.nc")
