"""Spoilt series: read as pydicom reads them, or refused in one line."""

import warnings
from pathlib import Path

import numpy as np
import pytest

from ctscreener.dicom import read_dicom
from ctscreener.errors import InputError
from ctscreener.files import same_grid
from ctscreener.scan import Scan
from Testing.fuzz.dicom_cases import independent, write_case


def read(folder: Path) -> tuple[Scan | None, str]:
    """Read a folder, or return why not."""
    try:
        return read_dicom(folder), ""
    except InputError as error:
        return None, str(error)


@pytest.mark.parametrize("seed", range(40))
def test_a_spoilt_series_is_read_as_pydicom_does_or_refused(tmp_path: Path, seed: int) -> None:
    what = write_case(tmp_path, np.random.default_rng(seed))
    scan, refusal = read(tmp_path)
    if scan is None:
        assert "\n" not in refusal
        assert not what.startswith(("nothing", "copy", "acquired", "positions", "scout")), refusal
        return
    with warnings.catch_warnings(action="ignore"):
        found = independent(tmp_path)
    assert found is not None, what
    np.testing.assert_array_equal(scan.hu, found[0].astype(np.float32), err_msg=what)
    assert same_grid(scan.shape, scan.affine, found[0].shape, found[1]), what
