"""pydicom's reading of a folder: what the engine's is compared with."""

import os
import zlib
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException, InvalidDicomError

UNREADABLE = (AttributeError, EOFError, IndexError, KeyError, NotImplementedError, OSError)
UNREADABLE += (
    BytesLengthException,
    InvalidDicomError,
    OverflowError,
    RuntimeError,
    TypeError,
    ValueError,
    zlib.error,
)
"""What pydicom raises at damaged files."""
FEWEST_SLICES = 16


def independent(folder: Path) -> tuple[np.ndarray, np.ndarray] | None:
    """Read a folder by pydicom alone.

    Arguments:
        folder: Of one CT series; scouts, a few images of another series, files that are no DICOM
            and exact copies do no harm.

    Returns:
        HU, float64, `(D, H, W)`, and the affine from voxel `(d, h, w, 1)` to RAS mm, `(4, 4)`;
        None where there is no volume of even slices.
    """
    try:
        series: dict[str, list[tuple[np.ndarray, ...]]] = {}
        for parent, _, names in os.walk(folder, followlinks=True):
            for name in names:
                if name.endswith(".dcm"):
                    uid, frames = _frames(Path(parent) / name)
                    series.setdefault(uid, []).extend(frames)
        scans = [frames for frames in series.values() if len(frames) >= FEWEST_SLICES]
        return _volume(scans[0]) if len(scans) == 1 else None
    except UNREADABLE:
        return None


def _frames(path: Path) -> tuple[str, list[tuple[np.ndarray, ...]]]:
    """Read one file: its series, and HU, position, orientation and spacing of each picture."""
    data = pydicom.dcmread(path)
    uid = str(data.SeriesInstanceUID)
    if "LOCALIZER" in (data.get("ImageType") or []):
        return uid, []
    stored = data.pixel_array.astype(np.float64)
    if "PerFrameFunctionalGroupsSequence" not in data:
        if stored.ndim != 2:
            raise ValueError("several frames without a place")
        return uid, [_frame(stored, data, data, data, data)]
    shared = data.SharedFunctionalGroupsSequence[0]
    return uid, [
        _frame(
            stored[number],
            group.PlanePositionSequence[0],
            shared.PlaneOrientationSequence[0],
            shared.PixelMeasuresSequence[0],
            group.PixelValueTransformationSequence[0],
        )
        for number, group in enumerate(data.PerFrameFunctionalGroupsSequence)
    ]


def _frame(
    stored: np.ndarray, place: Dataset, turn: Dataset, measures: Dataset, values: Dataset
) -> tuple[np.ndarray, ...]:
    """Put together what is known of one picture."""
    hu = stored * float(values.get("RescaleSlope", 1)) + float(values.get("RescaleIntercept", 0))
    position = np.array(place.ImagePositionPatient, float)
    orientation = np.array(turn.ImageOrientationPatient, float)
    return hu, position, orientation, np.array(measures.PixelSpacing, float)


def _volume(frames: list[tuple[np.ndarray, ...]]) -> tuple[np.ndarray, np.ndarray] | None:
    """Stack pictures by their positions; None unless they make one straight grid."""
    pictures, positions, orientations, spacings = (
        list(some) for some in zip(*frames, strict=True)
    )
    if len({picture.shape for picture in pictures}) > 1:
        return None
    geometry = np.column_stack([orientations, spacings])
    if not np.isfinite(geometry).all() or np.ptp(geometry, axis=0).max() > 2e-3:
        return None
    along_row, along_column = orientations[0][:3], orientations[0][3:]
    normal = np.cross(along_row, along_column)
    order = np.argsort(np.array(positions) @ normal, kind="stable").tolist()
    kept = [order[0]]
    for index in order[1:]:
        if abs((positions[index] - positions[kept[-1]]) @ normal) > 0.005:
            kept.append(index)
        elif not np.array_equal(pictures[index], pictures[kept[-1]]):
            return None
    places = np.array([positions[index] for index in kept])
    even = np.linspace(places[0], places[-1], len(places))
    if np.linalg.norm(places - even, axis=1).max() > 0.25:
        return None
    affine = np.eye(4)
    affine[:3, 0] = (places[-1] - places[0]) / (len(places) - 1)
    affine[:3, 1] = along_column * spacings[0][0]
    affine[:3, 2] = along_row * spacings[0][1]
    affine[:3, 3] = places[0]
    hu = np.stack([pictures[index] for index in kept])
    return hu, np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine
