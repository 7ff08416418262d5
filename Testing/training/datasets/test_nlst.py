"""NLST: the longest axial series of each patient."""

from pathlib import Path

import pytest
from pydicom.dataset import FileDataset

from ctscreener.errors import InputError
from ctscreener.files import read_scan
from Testing.training.datasets.fabricated import SHAPE, write_series
from training.datasets.nlst import READER


def coronal(data: FileDataset, number: int) -> None:
    data.ImageOrientationPatient = [1, 0, 0, 0, 0, -1]
    data.ImagePositionPatient = [0, number * 4, 0]


def scout(data: FileDataset, number: int) -> None:
    data.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]


def write(folder: Path) -> Path:
    patient = folder / "NLST" / "100012"
    write_series(patient / "01-02-1999-NLST-LSS" / "1.000000-0OPLGEHSQX-11111", "1.2.1", slices=20)
    write_series(patient / "01-02-2000-NLST-LSS" / "2.000000-0OPLGEHSQX-22222", "1.2.2", slices=30)
    coronals = patient / "01-02-2000-NLST-LSS" / "3.000000-COR-33333"
    write_series(coronals, "1.2.3", change=coronal)
    write_series(folder / "NLST" / "100026" / "study" / "scout", "1.2.4", change=scout)
    return patient


def test_the_longest_axial_series_is_taken(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "NLST" / "LICENSE").touch()
    assert READER.fits(tmp_path)
    assert READER.fits(tmp_path / "NLST")
    first, second = READER.examples(tmp_path)
    assert (first.name, first.patient) == ("100012", "100012")
    assert first.scan.name == "2.000000-0OPLGEHSQX-22222"
    assert second.unused == "no axial CT series"
    scan = READER.read(first, read_scan)
    assert scan.shape == (30, *SHAPE[1:])


def test_gaps_and_rescaling_by_slice_are_told_and_nothing_is_made_up(tmp_path: Path) -> None:
    patient = tmp_path / "NLST" / "100012" / "study"
    write_series(patient / "gap", "1.2.1", left_out=(12, 13))
    (example,) = READER.examples(tmp_path)
    with pytest.raises(InputError) as error:
        READER.read(example, read_scan)
    assert error.value.code == "dicom.missing_slices"
    write_series(patient / "rescaled", "1.2.2", per_slice=True)
    (example,) = READER.examples(tmp_path)
    assert example.scan.name == "rescaled"
    with pytest.raises(InputError, match="rescale slope"):
        READER.read(example, read_scan)
