"""A DICOM slice: what its header says. A file of several frames gives one slice for each.

Nothing here or in the other `dicom_*.py` reads or repeats a tag that tells who the patient is.
"""

import logging
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ctscreener import dicom_tags as tags
from ctscreener.dicom_elements import DamagedError, Elements, Header
from ctscreener.dicom_parser import has_magic, looks_like_dicom, read_header, read_meta
from ctscreener.dicom_pixels import Coding
from ctscreener.errors import InputError
from ctscreener.file_tree import files_below

log = logging.getLogger(__name__)

DICOM_ROOT = "1.2.840.10008."
STORED_CLASSES = ("1.2.840.10008.5.1.4.", "1.2.840.10008.1.3.10")
"""What the classes of objects that are kept begin with, and the class of a DICOMDIR."""
CT_CLASSES = tuple(f"1.2.840.10008.5.1.4.1.1.2{kind}" for kind in ("", ".1", ".2"))
"""SOP classes of CT: plain, enhanced, and legacy converted enhanced."""
# Rows and columns at right angles, as far as a few digits can tell.
PERPENDICULAR = 1e-3
# Farther than that nothing is from the middle of a scanner.
FAR_MM = 1e5
SOME_ANGLE = 0.5
UNSAID = 99


@dataclass(frozen=True)
class Slice:
    """One DICOM image, without its pixels.

    Arguments:
        path: Its file.
        frame: Which image of the file, from 0.
        series: SeriesInstanceUID.
        description: SeriesDescription, printable characters only.
        modality: `CT`, `MR` and so on.
        scout: Whether this is a localizer.
        position: Centre of the first pixel in LPS mm, `(3,)`, NaN where the file tells none.
        rows: Direction in which the row index grows, in LPS, `(3,)`, likewise.
        columns: Direction in which the column index grows, in LPS, `(3,)`, likewise.
        spacing: Distance of rows and of columns in mm, `(2,)`, likewise.
        number: InstanceNumber, or the frame's; -1 where the file tells none.
        coding: How its pixels are stored, and what they mean.
        marks: What may tell phases apart, by name.
        times: Seconds, or what else grows with time, by name.
    """

    path: Path
    frame: int
    series: str
    description: str
    modality: str
    scout: bool
    position: np.ndarray
    rows: np.ndarray
    columns: np.ndarray
    spacing: np.ndarray
    number: int
    coding: Coding
    marks: Mapping[str, str]
    times: Mapping[str, float]

    @property
    def name(self) -> str:
        """The file's name, and which frame of it, for messages."""
        one = self.coding.frames == 1
        return self.path.name if one else f"frame {self.frame + 1} of {self.path.name}"

    @property
    def placed(self) -> bool:
        """Whether the file tells where in the patient it lies, in numbers that mean something."""
        geometry = np.abs([*self.position, *self.rows, *self.columns, *self.spacing])
        # NaN is not less than anything.
        return bool(
            (geometry < FAR_MM).all() and self.spacing.min() > 0 and self.skew < SOME_ANGLE
        )

    @property
    def skew(self) -> float:
        """How far its directions are from unit vectors at a right angle; 0 for exact ones."""
        axes = np.stack([self.rows, self.columns])
        return float(np.abs(axes @ axes.T - np.eye(2)).max())

    @property
    def normal(self) -> np.ndarray:
        """Unit vector across the slice, in LPS, `(3,)`."""
        across = np.cross(self.columns, self.rows)
        return across / np.linalg.norm(across)


def read_slices(folder: Path) -> list[Slice]:
    """Read the header of every DICOM image below a folder.

    Arguments:
        folder: Searched with its subfolders; what is hidden and files of other kinds are skipped.

    Returns:
        One entry an image, in the order of the files' paths.

    Raises:
        InputError: `dicom.truncated` for a CT image that cannot be read, `scan.dangling_link` or
            `scan.unreadable` for a link or a folder that leads nowhere.
        OSError: A file cannot be read.
    """
    paths = [path for path in files_below(folder) if not path.name.startswith(".")]
    return [image for path in paths for image in read_images(path)]


def read_images(path: Path) -> list[Slice]:
    """Read the header of one file.

    Arguments:
        path: A regular file of any kind.

    Returns:
        One entry for each of its frames; none where it holds no DICOM image.

    Raises:
        InputError: `dicom.truncated` for a CT image that cannot be read.
        OSError: The file cannot be read.
    """
    if not looks_like_dicom(path):
        return []
    try:
        header = read_header(path, tags.WANTED, tags.ENTERED)
    except DamagedError as damage:
        if _may_hold_ct(path):
            raise damaged(path, damage) from None
        log.log(
            logging.WARNING if has_magic(path) else logging.INFO,
            "Skipped %s: damaged, or no DICOM.",
            path.name,
        )
        return []
    if header.elements.pixels is None:
        placed = _is_placed_ct(header.elements) and not _says_other(header.meta)
        if _says_ct(header.meta) or placed:
            raise damaged(path, DamagedError("a CT header without pixels"))
        log.info("Skipped %s: DICOM, but no image.", path.name)
        return []
    return list(_frames(path, header))


def damaged(path: Path, damage: DamagedError) -> InputError:
    """Say what is wrong with a DICOM file.

    Arguments:
        path: The file.
        damage: What was found in it.
    """
    return InputError(
        "dicom.truncated",
        f"Expected a whole CT slice in {path.name}, found {damage}.",
        "Copy or download this file again.",
    )


def _may_hold_ct(path: Path) -> bool:
    """Tell of a damaged file whether it was to hold a CT image, as far as it still says."""
    meta = read_meta(path, tags.WANTED)
    if _says_other(meta):
        return False
    return bool(meta.text(tags.CLASS)) or path.suffix.lower() == ".dcm" or has_magic(path)


def _says_other(meta: Elements) -> bool:
    """Tell whether a file says that it holds something else.

    A class of DICOM that nothing is stored as is damage, and may have been any.
    """
    said = meta.text(tags.CLASS)
    known = said.startswith(STORED_CLASSES) or not said.startswith(DICOM_ROOT)
    return bool(said) and known and not _says_ct(meta)


def _says_ct(meta: Elements) -> bool:
    """Tell whether a file says that it holds a CT image."""
    return meta.text(tags.CLASS) in CT_CLASSES


def _is_placed_ct(elements: Elements) -> bool:
    """Tell whether a data set is a CT at a place in the patient, as no object but an image is."""
    return elements.text(tags.MODALITY) == "CT" and bool(elements.text(tags.POSITION))


def _frames(path: Path, header: Header) -> Iterator[Slice]:
    """Give each frame of a file: what is said of all, overruled by what is said of the one."""
    top = header.elements
    common = top.values | _gathered(top.items.get(tags.SHARED, []))
    single = top.items.get(tags.PER_FRAME, [])
    count = max(1, _whole(top.text(tags.FRAMES), 1))
    if single and len(single) != count and _says_ct(header.meta):
        found = f"{count} frames and functional groups for {len(single)}"
        raise damaged(path, DamagedError(found))
    if len(single) != count and count > 1:
        # One entry stands for all: nothing tells where each of them lies.
        common.pop(tags.POSITION, None)
    if len(single) != count:
        single = [Elements({}, {})]
    for frame, group in enumerate(single):
        yield _slice(path, header, frame, common | _gathered([group]), count)


def _whole(text: str, missing: int) -> int:
    """Read a whole number of few digits."""
    return int(text) if re.fullmatch(r"\d{1,9}", text) else missing


def _gathered(items: list[Elements]) -> dict[int, bytes]:
    """Take the values out of nested functional groups."""
    values: dict[int, bytes] = {}
    for item in items:
        values |= item.values
        for inner in item.items.values():
            values |= _gathered(inner)
    return values


def _slice(path: Path, header: Header, frame: int, values: dict[int, bytes], frames: int) -> Slice:
    """Take what is needed out of a header."""
    top = header.elements
    own = Elements(values, top.items, top.order, top.pixels)
    direction = own.numbers(tags.ORIENTATION, 6)
    kinds = f"{own.text(tags.IMAGE_TYPE)}\\{own.text(tags.FRAME_TYPE)}".upper().split("\\")
    return Slice(
        path=path,
        frame=frame,
        series=own.text(tags.SERIES),
        description=own.text(tags.DESCRIPTION),
        modality=own.text(tags.MODALITY),
        scout="LOCALIZER" in kinds,
        position=own.numbers(tags.POSITION, 3),
        rows=direction[3:],
        columns=direction[:3],
        spacing=own.numbers(tags.SPACING, 2),
        number=frame if frames > 1 else _whole(own.text(tags.NUMBER), -1),
        coding=_coding(own, header.syntax, frames),
        marks={name: mark for name, some in tags.MARKS.items() if (mark := _mark(own, some))},
        times={name: time for name, some in tags.TIMES.items() if (time := _time(own, some)) >= 0},
    )


def _coding(own: Elements, syntax: str, frames: int) -> Coding:
    """Take out of a header how its pixels are stored."""
    stored = own.whole(tags.STORED, 0)
    assert own.pixels is not None, "an image"
    return Coding(
        size=(own.whole(tags.ROWS, 0), own.whole(tags.COLUMNS, 0)),
        frames=frames,
        samples=own.whole(tags.SAMPLES, 0),
        photometric=own.text(tags.PHOTOMETRIC),
        allocated=own.whole(tags.ALLOCATED, 0),
        stored=stored,
        high=own.whole(tags.HIGH_BIT, stored - 1),
        sign=own.whole(tags.SIGNED, UNSAID),
        syntax=syntax,
        order=own.order,
        pixels=own.pixels,
        slope=own.text(tags.SLOPE),
        intercept=own.text(tags.INTERCEPT),
        units=own.text(tags.UNITS),
        table=tags.LUT in own.items,
    )


def _mark(own: Elements, some: tuple[int, ...]) -> str:
    """Return the first of these tags that is there, as text."""
    for tag in reversed(some):
        if tag in own.values:
            if tag in tags.WHOLE_MARKS:
                return str(own.whole(tag, 0))
            return f"{own.single(tag):g}" if tag in tags.SINGLE_MARKS else own.text(tag)
    return ""


def _time(own: Elements, some: tuple[int, ...]) -> float:
    """Return a time as a number that grows with it; negative where there is none."""
    text = next((own.text(tag) for tag in reversed(some) if tag in own.values), "")
    found = re.match(r"\d+(\.\d+)?", text.replace(":", ""))
    return float(found[0]) if found else -1.0
