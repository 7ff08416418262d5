"""A CT series as DICOM files, and what dcmqi, by which Slicer reads DICOM, makes of a file."""

import importlib.util
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from ScreenerSlicerLib.export.dicom_source import planes_of

SHAPE = (9, 12, 14)


def affine_of(tilt: float, upwards: bool) -> np.ndarray:
    """Slices lying on the back, tilted about the right-left axis, first slice lowest or highest."""
    cos, sin = np.cos(np.deg2rad(tilt)), np.sin(np.deg2rad(tilt))
    up = 1 if upwards else -1
    affine = np.eye(4)
    affine[:3, :3] = np.array(
        [[0, 0, -1.5], [-up * 3 * sin, -2 * cos, 0], [up * 3 * cos, -2 * sin, 0]]
    )
    affine[:3, 3] = [30, 20, -100]
    return affine


GRIDS = {
    "lowest slice first": affine_of(0, True),
    "highest slice first": affine_of(0, False),
    "tilted": affine_of(17, True),
}


def write_series(
    folder: Path,
    affine: np.ndarray,
    without: Sequence[str] = (),
    values: np.ndarray | None = None,
) -> list[Path]:
    """Write a CT on a grid, its file names in no order of place.

    Arguments:
        folder: Where to.
        affine: Voxel `(d, h, w, 1)` to RAS mm.
        without: Elements that are left out.
        values: HU, int16, `(D, H, W)`; zeros of `SHAPE` when None.
    """
    values = np.zeros(SHAPE, np.int16) if values is None else values
    planes = planes_of(values.shape, affine)
    study, series, frame = generate_uid(), generate_uid(), generate_uid()
    files = []
    for number in np.random.default_rng(1).permutation(len(values)):
        meta = FileMetaDataset()
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        meta.MediaStorageSOPClassUID = CTImageStorage
        meta.MediaStorageSOPInstanceUID = generate_uid()
        data = FileDataset("", pydicom.Dataset(), file_meta=meta, preamble=b"\0" * 128)
        data.SOPClassUID, data.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
        data.StudyInstanceUID, data.SeriesInstanceUID = study, series
        data.FrameOfReferenceUID, data.Modality = frame, "CT"
        data.PatientName, data.PatientID, data.PatientBirthDate = "Test^Patient", "T-1", ""
        data.PatientSex, data.StudyID, data.AccessionNumber = "O", "1", ""
        data.StudyDate, data.StudyTime = "20200101", "120000"
        data.ImagePositionPatient = planes.positions[number].round(9).tolist()
        data.ImageOrientationPatient = planes.orientation.round(12).tolist()
        data.PixelSpacing = planes.spacing[:2].tolist()
        data.Rows, data.Columns = values.shape[1:]
        data.BitsAllocated = data.BitsStored = 16
        data.HighBit, data.PixelRepresentation = 15, 1
        data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
        data.PixelData = values[number].astype("<i2").tobytes()
        for name in without:
            delattr(data, name)
        files.append(folder / f"{len(files):03}.dcm")
        data.save_as(files[-1], enforce_file_format=True)
    return files


def run_dcmqi(program: str, file: Path, *options: object) -> str:
    """Let a program of dcmqi read a file; returns what it said."""
    found = importlib.util.find_spec("dcmqi")
    assert found is not None, "dcmqi is installed"
    assert found.origin is not None
    tool = Path(found.origin).parent / "bin" / program
    command = [str(part) for part in (tool, "--inputDICOM", file, *options)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout + ended.stderr


def read_by_dcmqi(program: str, file: Path, folder: Path) -> Path:
    """Let dcmqi turn a file into NRRD, as Slicer does."""
    folder.mkdir()
    run_dcmqi(program, file, "--outputDirectory", folder, "--outputType", "nrrd")
    return folder
