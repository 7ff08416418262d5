"""LIDC-IDRI: chest CT, with the nodules that up to four readers outlined.

Armato et al., Medical Physics 38(2), 2011. A reader's mark of a nodule of 3 mm or more is, on each
slice, the chain of the first pixels outside of it. Marks are one nodule where they come within a
slice of each other, and the consensus is as in pylidc (Hancock and Magnan, JMI 3(4), 2016).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree

from ctscreener.errors import InputError
from ctscreener.scan import Scan
from training.datasets.dicom_places import slice_numbers
from training.datasets.example import Example, Mask, Reader
from training.datasets.folders import Level, first_image, levels, short, slices_of, some
from training.datasets.licence import CC_BY_3
from training.datasets.masks import filled

OPTIONS = {"readers": 3.0, "volume": 100.0, "level": 0.5}
"""What the paper takes: nodules of 3 readers or more with a mean volume above 100 mm3, and of these
the voxels that half of their readers mark."""
READERS = 4
CLOSER, CLOSEST = 0.9, 0.1
"""The distance of marks shrinks by the one while a nodule has more marks than readers, down to the
other, in mm."""
HEAD = 4096
"""Bytes of an XML file that tell which series it is of."""
SERIES = re.compile(rb"<SeriesInstanceU(?:id|ID)>\s*([0-9.]+)\s*<")
PATIENT = re.compile(r"LIDC-IDRI-\d{4}")


@dataclass(frozen=True)
class Mark:
    """What one reader outlined as one nodule.

    Arguments:
        reader: Which of the readings it is from, from 0.
        voxels: Index `(d, h, w)` of each voxel inside, `(N, 3)`.
        volume: What its contours enclose, in voxels; more than the voxels inside.
    """

    reader: int
    voxels: np.ndarray
    volume: float


def fits(folder: Path) -> bool:
    """Whether patients of LIDC-IDRI are in a folder, or in one in it."""
    return any(some(one, PATIENT.pattern) for one in (folder, folder / "LIDC-IDRI"))


def examples(folder: Path) -> Iterator[Example]:
    """Its CT series; radiographs of the chest, which some patients have beside, are no scans."""
    marks = annotations(folder)
    for level in levels(folder):
        patient = PATIENT.search(level.folder.as_posix())
        if patient is None or not slices_of(level):
            continue
        image = first_image(level)
        if image is None or image.modality != "CT":
            continue
        name = f"{patient[0]}_{short(image.series)}"
        yield Example(name, level.folder, patient[0], mask=marks.get(image.series))


def annotations(folder: Path) -> dict[str, Path]:
    """Find the XML file of each series, wherever in a download it is."""
    found = {}
    for level in levels(folder):
        for name in level.names:
            if name.lower().endswith(".xml") and (series := _series_of(level, name)):
                found[series] = level.folder / name
    return found


def _series_of(level: Level, name: str) -> str | None:
    with (level.folder / name).open("rb") as stream:
        head = stream.read(HEAD)
    match = SERIES.search(head) if b"LidcReadMessage" in head else None
    return match[1].decode() if match else None


def mask(example: Example, scan: Scan) -> Mask:
    """Mark the voxels that enough readers outlined, 1 for any nodule.

    Raises:
        InputError: `datasets.annotation`.
    """
    assert example.mask is not None, "asked of examples with a mask alone"
    asked = {name: example.option(name, default) for name, default in OPTIONS.items()}
    marks = read_marks(example.mask, slice_numbers(example.scan, scan), scan.shape)
    labels = np.zeros(scan.shape, np.uint8)
    voxel = float(np.prod(scan.spacing))
    for nodule in nodules(marks, scan.spacing):
        readers = {mark.reader for mark in nodule}
        volume = np.mean([mark.volume for mark in nodule]) * voxel
        if len(readers) >= asked["readers"] and volume > asked["volume"]:
            d, h, w = consensus(nodule, asked["level"]).T
            labels[d, h, w] = 1
    return labels, scan.affine


def read_marks(path: Path, slices: dict[str, int], shape: tuple[int, int, int]) -> list[Mark]:
    """Read the nodules of 3 mm or more that readers outlined.

    Arguments:
        path: The XML file.
        slices: Index along D of each SOPInstanceUID.
        shape: Voxels of the scan.

    Raises:
        InputError: `datasets.annotation` for a file that is cut short, or of other images.
    """
    try:
        root = ElementTree.parse(path).getroot()
    except ElementTree.ParseError as error:
        raise _wrong(path, f"a file that is no whole XML ({error})") from error
    marks = []
    for reader, session in enumerate(root.iterfind("{*}readingSession")):
        for nodule in session.iterfind("{*}unblindedReadNodule"):
            outlines = [
                (one, xy) for one in nodule.iterfind("{*}roi") if len(xy := _edge(one, path)) > 2
            ]
            # A single point marks a nodule of less than 3 mm, which has no outline.
            if outlines:
                marks.append(_mark(reader, outlines, slices, shape, path))
    return marks


def _edge(roi: ElementTree.Element, path: Path) -> np.ndarray:
    """The chain of pixels around a nodule on one slice, as (column, row), `(N, 2)`."""
    try:
        return np.array(
            [
                [int(one.findtext(f"{{*}}{axis}Coord", "")) for axis in "xy"]
                for one in roi.iterfind("{*}edgeMap")
            ]
        ).reshape(-1, 2)
    except ValueError as error:
        raise _wrong(path, "a point of a contour without whole numbers") from error


def _mark(
    reader: int,
    outlines: list[tuple[ElementTree.Element, np.ndarray]],
    slices: dict[str, int],
    shape: tuple[int, int, int],
    path: Path,
) -> Mark:
    """Fill the outlines of one nodule; what a reader excluded within it is taken out again."""
    planes: dict[int, np.ndarray] = {}
    volume = 0.0
    # What is excluded comes after what it is excluded from.
    for roi, edge in sorted(outlines, key=lambda one: _included(one[0]), reverse=True):
        image = (roi.findtext("{*}imageSOP_UID") or "").strip()
        if image not in slices:
            raise _wrong(path, f"a contour on an image that is not in the series ({image[-12:]})")
        inside = filled(edge, shape[1:])
        inside[edge[:, 1].clip(0, shape[1] - 1), edge[:, 0].clip(0, shape[2] - 1)] = False
        plane = planes.setdefault(slices[image], np.zeros(shape[1:], dtype=bool))
        plane[inside] = _included(roi)
        volume += _area(edge) if _included(roi) else -_area(edge)
    voxels = [np.insert(np.argwhere(plane), 0, number, axis=1) for number, plane in planes.items()]
    return Mark(reader, np.concatenate(voxels), volume)


def _included(roi: ElementTree.Element) -> bool:
    return (roi.findtext("{*}inclusion") or "TRUE").strip().upper() == "TRUE"


def _area(points: np.ndarray) -> float:
    """Area of a polygon in pixels (the shoelace formula)."""
    x, y = points.T
    return 0.5 * abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1)))


def nodules(marks: list[Mark], spacing: np.ndarray) -> list[list[Mark]]:
    """Group marks that come within the distance of a slice of each other.

    Arguments:
        marks: Marks of all readers.
        spacing: Of the scan, in mm, `(3,)`.
    """
    marks = [mark for mark in marks if len(mark.voxels)]
    if not marks:
        return []
    trees = [KDTree(mark.voxels * spacing) for mark in marks]
    apart = np.array([[_distance(one, other) for other in trees] for one in trees])
    reach = float(spacing[0])
    while True:
        count, group = connected_components(apart <= reach, directed=False)
        if reach <= CLOSEST or np.bincount(group).max() <= READERS:
            break
        reach *= CLOSER
    return [[marks[k] for k in np.flatnonzero(group == one)] for one in range(count)]


def _distance(one: KDTree, other: KDTree) -> float:
    return float(np.min(other.query(one.data)[0]))


def consensus(nodule: list[Mark], level: float) -> np.ndarray:
    """Find the voxels that a share of the readers of a nodule marked, index `(N, 3)`."""
    readers = {mark.reader for mark in nodule}
    # Two marks of a reader count once.
    own = [
        np.unique(np.concatenate([m.voxels for m in nodule if m.reader == reader]), axis=0)
        for reader in readers
    ]
    voxels, counts = np.unique(np.concatenate(own), axis=0, return_counts=True)
    return voxels[counts >= level * len(readers)]


def _wrong(path: Path, found: str) -> InputError:
    return InputError(
        "datasets.annotation",
        f"Expected the readers' contours of LIDC-IDRI in {path.name}, found {found}.",
        "Download the annotations, or the series, again.",
    )


READER = Reader(
    name="lidc",
    title="LIDC-IDRI: chest CT, nodules outlined by up to four readers",
    source="https://www.cancerimagingarchive.net/collection/lidc-idri",
    size="1,018 scans of 1,010 patients, 126 GB",
    command="pip install idc-index; idc download lidc_idri --download-dir FOLDER, and "
    "LIDC-XML-only.zip of the collection's page unpacked into FOLDER",
    layout="LIDC-IDRI-0001/.../*.dcm with the XML files anywhere below",
    fits=fits,
    examples=examples,
    licence=CC_BY_3,
    mask=mask,
    masks="nodules of at least 3 readers and 100 mm3, voxels that half of their readers mark",
    options=OPTIONS,
    paper_set="LIDC",
    notes="A scan whose nodules all have fewer readers is a scan without lesions. The paper counts "
    "1,017 scans, of which 603 have a mask.",
)
