"""A small DICOM series made in code: a body in air, anywhere in space, in any of the usual forms."""

import contextlib
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import (
    UID,
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    EnhancedCTImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
    generate_uid,
)

SYNTAXES = (
    *(ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian),
    *(DeflatedExplicitVRLittleEndian, RLELossless),
)
SERIES = "1.2.826.0.1.3680043.8.498.77"

Slices = list[FileDataset]


def make_series(rng: np.random.Generator) -> Slices:
    """Make a body with a lung in air, anywhere in space, stored in one of the usual ways."""
    shape = rng.integers((17, 18, 16), (22, 24, 22))
    hu = np.full(shape, -1000)
    hu[:, 2:-2, 2:-2] = 40
    hu[3:9, 5:9, 4:8] = -850
    hu = hu + rng.integers(-15, 16, shape)
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0] if rng.random() < 0.3 else np.eye(3)
    signed = int(rng.integers(2))
    stored = int(rng.choice([12, 16]))
    gap, spacing = float(rng.choice([1.0, 1.25, 2.5])), float(rng.uniform(0.8, 2.0))
    start = rng.uniform(-200, 200, 3).round(2)
    normal = np.cross(turn[0], turn[1])
    offset = 0 if signed else 1024
    slices = []
    for index, values in enumerate(hu):
        data = _slice((values + offset).astype("<i2"), index)
        data.BitsStored, data.HighBit, data.PixelRepresentation = stored, stored - 1, signed
        if stored == 12:
            data.PixelData = ((values + offset) & 0xFFF).astype("<u2").tobytes()
        data.RescaleIntercept = -offset
        data.ImagePositionPatient = [f"{x:.4f}" for x in start + gap * index * normal]
        data.ImageOrientationPatient = [f"{x:.9f}" for x in (*turn[0], *turn[1])]
        data.PixelSpacing = [f"{spacing:.4f}"] * 2
        slices.append(data)
    return slices


def _slice(stored: np.ndarray, index: int) -> FileDataset:
    """Make one slice."""
    meta = FileMetaDataset()
    # From its voxels, so that a seed gives the same bytes each time.
    own = generate_uid(entropy_srcs=[stored.tobytes().hex(), str(index)])
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = CTImageStorage, own
    data = FileDataset("", Dataset(), file_meta=meta, preamble=bytes(128))
    data.SOPClassUID, data.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
    data.Modality, data.ImageType = "CT", ["ORIGINAL", "PRIMARY", "AXIAL"]
    data.SeriesInstanceUID, data.InstanceNumber, data.AcquisitionNumber = SERIES, index + 1, 1
    data.ContentTime = f"1010{index:02}.5"
    data.Rows, data.Columns = stored.shape
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated, data.RescaleSlope = 16, 1
    data.PixelData = stored.tobytes()
    data["PixelData"].VR = "OW"
    return data


def as_enhanced(slices: Slices) -> FileDataset:
    """Put slices into one file of several frames."""
    data = _slice(np.zeros((slices[0].Rows, slices[0].Columns), "<i2"), 0)
    for name in ("BitsStored", "HighBit", "PixelRepresentation"):
        setattr(data, name, getattr(slices[0], name))
    data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = EnhancedCTImageStorage
    data.NumberOfFrames = len(slices)
    del data.RescaleSlope
    shared = Dataset()
    shared.PlaneOrientationSequence = [_only(slices[0], "ImageOrientationPatient")]
    shared.PixelMeasuresSequence = [_only(slices[0], "PixelSpacing")]
    data.SharedFunctionalGroupsSequence = [shared]
    groups = []
    for one in slices:
        group = Dataset()
        group.PlanePositionSequence = [_only(one, "ImagePositionPatient")]
        group.PixelValueTransformationSequence = [_only(one, "RescaleSlope", "RescaleIntercept")]
        groups.append(group)
    data.PerFrameFunctionalGroupsSequence = groups
    data.PixelData = b"".join(one.PixelData for one in slices)
    data["PixelData"].VR = "OW"
    return data


def _only(data: Dataset, *names: str) -> Dataset:
    """Copy some tags."""
    some = Dataset()
    for name in names:
        setattr(some, name, getattr(data, name))
    return some


def save(data: FileDataset, path: Path, syntax: UID) -> None:
    """Write a slice in a transfer syntax."""
    packed = syntax == RLELossless
    little = syntax != ExplicitVRBigEndian
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian if packed else syntax
    if packed:
        # What is spoilt already may be beyond packing.
        with contextlib.suppress(AttributeError, TypeError, ValueError):
            data.compress(RLELossless, generate_instance_uid=False)
    if not little and data.get("BitsAllocated") == 16 and len(data.get("PixelData", "-")) % 2 == 0:
        data.PixelData = np.frombuffer(data.PixelData, "<u2").byteswap().tobytes()
        data["PixelData"].VR = "OW"
    pydicom.dcmwrite(
        path,
        data,
        implicit_vr=syntax == ImplicitVRLittleEndian,
        little_endian=little,
        force_encoding=True,
    )
