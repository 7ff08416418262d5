"""Which slice an image is, in series that lie straight and oblique, with copies and strangers."""

from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import FileDataset

from ctscreener.files import read_scan
from Testing.training.datasets.fabricated import SHAPE, write_series
from training.datasets.dicom_places import slice_numbers


@pytest.mark.parametrize("degrees", [0, 25])
def test_images_are_found_by_where_they_lie(tmp_path: Path, degrees: float) -> None:
    angle = np.deg2rad(degrees)
    turn = np.array(
        [[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]]
    )

    def oblique(data: FileDataset, number: int) -> None:
        data.ImageOrientationPatient = [*turn[:, 0], *turn[:, 1]]
        data.ImagePositionPatient = list(turn @ np.array(data.ImagePositionPatient, float))

    series = write_series(tmp_path, change=oblique)
    scan = read_scan(tmp_path)
    found = slice_numbers(tmp_path, scan)
    order = [found[image] for image in series.images]
    # Along the normal, whichever way the reader lays the slices.
    assert order in (list(range(SHAPE[0])), list(range(SHAPE[0]))[::-1])
    (tmp_path / "notes.txt").write_text("no DICOM")
    write_series(tmp_path / "beyond", "1.2.9", slices=1, change=lambda data, _: far(data))
    assert slice_numbers(tmp_path, scan) == found


def far(data: FileDataset) -> None:
    """Put a slice far below the others."""
    data.ImagePositionPatient[2] -= 500
