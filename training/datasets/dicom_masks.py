"""DICOM archives with masks as DICOM SEG or RTSTRUCT beside the series that they are drawn on.

PS3.3 A.51 (Segmentation) and A.19.3 (RT Structure Set). Patients are told apart by a hash of their
PatientID: no store and no result keeps the number itself.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ctscreener.archive import scans_below, stem
from ctscreener.errors import InputError
from ctscreener.itk import LPS
from ctscreener.scan import Scan
from training.datasets.dicom_places import NEAR, headers
from training.datasets.example import Example, Mask, Reader
from training.datasets.folders import first_image, levels, short
from training.datasets.licence import Licence
from training.datasets.masks import filled

if TYPE_CHECKING:
    import pydicom

SEG, RTSTRUCT = "SEG", "RTSTRUCT"
TAGS = ("Modality", "ReferencedSeriesSequence", "ReferencedFrameOfReferenceSequence")
ON_GRID = 0.1
"""How far, in voxels, pixels of a segmentation may lie off those of its scan."""
HASHED = 12
GLANCE = 64
LARGEST = 255


def fits(folder: Path) -> bool:
    """Whether one of the first folders holds a DICOM image."""
    for number, level in enumerate(levels(folder)):
        if level.names and first_image(level) is not None:
            return True
        if number > GLANCE:
            return False
    return False


def examples(folder: Path) -> Iterator[Example]:
    """Its CT series, each with the segmentations and structure sets that name it."""
    masks: dict[str, list[Path]] = {}
    for path, header in headers(folder, TAGS):
        if header.get("Modality") in (SEG, RTSTRUCT):
            for series in _referenced(header):
                masks.setdefault(series, []).append(path)
    for scan, wanted in scans_below(folder):
        first = _first(scan, wanted)
        if first is None:
            continue
        uid = str(first.SeriesInstanceUID)
        patient = hashlib.sha256(str(first.get("PatientID", uid)).encode()).hexdigest()[:HASHED]
        drawn = masks.get(uid, [])
        name = f"{stem(scan)}_{short(uid)}"
        yield Example(
            name, scan, patient, mask=next(iter(drawn), None), series=wanted, more=tuple(drawn[1:])
        )


def _first(folder: Path, series: str | None) -> "pydicom.Dataset | None":
    """The header of one CT image of a series."""
    for _, header in headers(folder, ("Modality", "SeriesInstanceUID", "PatientID")):
        if header.get("Modality") == "CT" and series in (None, header.get("SeriesInstanceUID")):
            return header
    return None


def _referenced(header: "pydicom.Dataset") -> Iterator[str]:
    """The series that a mask says it was drawn on."""
    for one in header.get("ReferencedSeriesSequence") or ():
        yield str(one.SeriesInstanceUID)
    for frame in header.get("ReferencedFrameOfReferenceSequence") or ():
        for study in frame.get("RTReferencedStudySequence") or ():
            for one in study.get("RTReferencedSeriesSequence") or ():
                yield str(one.SeriesInstanceUID)


def mask(example: Example, scan: Scan) -> Mask:
    """Read all masks of a series; values are the numbers of segments and of ROIs.

    Raises:
        InputError: `mask.grid` or `datasets.annotation`.
    """
    import pydicom

    assert example.mask is not None, "asked of examples with a mask alone"
    labels = np.zeros(scan.shape, np.uint8)
    for path in (example.mask, *example.more):
        try:
            data = pydicom.dcmread(path)
            draw = draw_segments if data.Modality == SEG else draw_structures
            draw(data, scan, labels, path.name)
        except (AttributeError, KeyError, IndexError, ValueError, EOFError) as error:
            raise InputError(
                "datasets.annotation",
                f"Expected a DICOM SEG or RTSTRUCT in {path.name}, found it damaged "
                f"({type(error).__name__}: {error}).",
                "Export it again.",
            ) from error
    return labels, scan.affine


def draw_segments(data: "pydicom.Dataset", scan: Scan, labels: np.ndarray, name: str) -> None:
    """Draw the frames of a DICOM SEG.

    Arguments:
        data: The segmentation.
        scan: The scan that it was drawn on.
        labels: Is drawn into, uint8, in the shape of the scan.
        name: Of its file, for messages.

    Raises:
        InputError: `mask.grid` for pixels that lie beside those of the scan.
    """
    to_index = np.linalg.inv(scan.affine) @ LPS
    frames = np.atleast_3d(data.pixel_array).reshape(-1, data.Rows, data.Columns)
    half = float(data.get("MaximumFractionalValue", 1)) / 2
    shared = data.SharedFunctionalGroupsSequence[0]
    for frame, group in zip(frames, data.PerFrameFunctionalGroupsSequence, strict=True):
        identified = _group(group, shared, "SegmentIdentificationSequence")
        orientation = _group(group, shared, "PlaneOrientationSequence").ImageOrientationPatient
        spacing = _group(group, shared, "PixelMeasuresSequence").PixelSpacing
        position = _group(group, shared, "PlanePositionSequence").ImagePositionPatient
        plane = np.zeros((4, 3))
        plane[:3, 0] = np.array(orientation[3:], float) * float(spacing[0])
        plane[:3, 1] = np.array(orientation[:3], float) * float(spacing[1])
        plane[:, 2] = [*map(float, position), 1.0]
        on = np.argwhere(frame > half)
        index = (to_index @ plane @ np.column_stack([on, np.ones(len(on))]).T)[:3].T
        _mark(labels, index, int(identified.ReferencedSegmentNumber), name)


def _group(frame: "pydicom.Dataset", shared: "pydicom.Dataset", name: str) -> "pydicom.Dataset":
    """What is said of one frame, or of all of them."""
    return (frame.get(name) or shared[name].value)[0]


def _mark(labels: np.ndarray, index: np.ndarray, value: int, name: str) -> None:
    """Set voxels, given where they lie in fractions of an index, `(N, 3)`."""
    voxels = np.rint(index).astype(int)
    inside = ((voxels >= 0) & (voxels < labels.shape)).all()
    if not inside or (len(index) and np.abs(index - voxels).max() > ON_GRID):
        raise InputError(
            "mask.grid",
            f"Expected the pixels of {name} on those of its scan, found them beside.",
            "Resample the segmentation to the scan.",
        )
    labels[tuple(voxels.T)] = min(value, LARGEST)


def draw_structures(data: "pydicom.Dataset", scan: Scan, labels: np.ndarray, name: str) -> None:
    """Fill the contours of an RTSTRUCT; one within another of the same ROI makes a hole.

    Arguments:
        data: The structure set.
        scan: The scan that it was drawn on.
        labels: Is drawn into, uint8, in the shape of the scan.
        name: Of its file, for messages.

    Raises:
        InputError: `mask.grid` for contours that lie on none of the slices.
    """
    to_index = np.linalg.inv(scan.affine) @ LPS
    for roi in data.ROIContourSequence:
        planes: dict[int, np.ndarray] = {}
        for contour in roi.get("ContourSequence") or ():
            if contour.ContourGeometricType != "CLOSED_PLANAR":
                continue
            points = np.array(contour.ContourData, float).reshape(-1, 3)
            index = (to_index @ np.column_stack([points, np.ones(len(points))]).T)[:3]
            number = round(float(index[0].mean()))
            flat = np.abs(index[0] - number).max() <= NEAR
            if not (flat and 0 <= number < scan.shape[0]):
                raise InputError(
                    "mask.grid",
                    f"Expected the contours of {name} on slices of its scan, found one beside.",
                    "Draw them on this series, or export them as a segmentation.",
                )
            plane = planes.setdefault(number, np.zeros(scan.shape[1:], dtype=bool))
            plane ^= filled(index[:0:-1].T, scan.shape[1:])
        for number, plane in planes.items():
            labels[number][plane] = min(int(roi.ReferencedROINumber), LARGEST)


READER = Reader(
    name="dicom",
    title="A DICOM archive, masks as SEG or RTSTRUCT",
    source="your own, or https://www.cancerimagingarchive.net",
    size="any",
    command="nothing to fetch",
    layout="DICOM files at any depth",
    fits=fits,
    examples=examples,
    licence=Licence("as its owner says", False),
    mask=mask,
    masks="segments and ROIs, by their numbers; --labels picks the lesions where organs are among "
    "them",
    notes="Every file's header is read. A patient is a hash of PatientID.",
)
