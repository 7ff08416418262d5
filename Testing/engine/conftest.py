"""Bodies and DICOM series made in code, for tests of the engine."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from ctscreener.scan import CANONICAL, Scan

SPACING = (2.5, 1.5, 1.25)
ORIGIN = (12.5, -40.0, 31.25)
SERIES = "1.2.826.0.1.3680043.8.498.1"

Change = Callable[[FileDataset, int], None]
WriteSeries = Callable[..., list[Path]]


@pytest.fixture
def body_hu(rng: np.random.Generator) -> np.ndarray:
    """Air around a noisy body with one lung: whole HU, int16, `(20, 18, 16)`, no two sides alike."""
    hu = np.full((20, 18, 16), -1000.0)
    hu[:, 3:-2, 2:-3] = 40.0
    hu[4:12, 5:10, 4:8] = -850.0
    hu[2:, 12:14, 6:9] = 400.0
    return (hu + rng.normal(0, 10, hu.shape)).astype(np.int16)


@pytest.fixture
def body(body_hu: np.ndarray) -> Scan:
    """The same body as a scan in the canonical frame."""
    affine = np.eye(4)
    affine[:3, :3] = CANONICAL.T * SPACING
    affine[:3, 3] = ORIGIN
    return Scan(body_hu.astype(np.float32), affine)


@pytest.fixture
def write_series(body: Scan) -> WriteSeries:
    """A function that writes that body as DICOM slices.

    It is called as `write_series(folder, change=..., series=..., hu=...)`: `change(data, index)`
    alters the tags of one slice before it is written, and the paths written are returned. File
    names and instance numbers run against the order of the slices.
    """

    def write(
        folder: Path,
        change: Change | None = None,
        series: str = SERIES,
        hu: np.ndarray = body.hu,
    ) -> list[Path]:
        folder.mkdir(parents=True, exist_ok=True)
        paths = []
        for index, values in enumerate(hu):
            data = one_slice(values, index, series)
            if change is not None:
                change(data, index)
            paths.append(folder / f"{series[-1]}-{len(hu) - index:03}.dcm")
            data.save_as(paths[-1], enforce_file_format=True)
        return paths

    return write


def one_slice(hu: np.ndarray, index: int, series: str) -> FileDataset:
    """Make one CT slice of the body, lying on its back, as a scanner would."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    data = FileDataset("", pydicom.Dataset(), file_meta=meta, preamble=b"\0" * 128)
    data.SOPClassUID = CTImageStorage
    data.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    data.Modality = "CT"
    data.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    data.PatientName = "Secret^Name"
    data.PatientID = "SECRET-ID"
    data.SeriesInstanceUID = series
    data.SeriesDescription = "Body 2.5"
    data.InstanceNumber = 100 - index
    data.ImagePositionPatient = [-ORIGIN[0], -ORIGIN[1], ORIGIN[2] + index * SPACING[0]]
    data.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    data.PixelSpacing = [SPACING[1], SPACING[2]]
    # Wrong on purpose: positions alone tell the distance of slices.
    data.SliceThickness = 5.0
    data.Rows, data.Columns = hu.shape
    data.SamplesPerPixel = 1
    data.PhotometricInterpretation = "MONOCHROME2"
    data.BitsAllocated = data.BitsStored = 16
    data.HighBit = 15
    data.PixelRepresentation = 1
    data.RescaleSlope, data.RescaleIntercept = 1, -1024
    data.PixelData = (hu + 1024).astype("<i2").tobytes()
    return data
