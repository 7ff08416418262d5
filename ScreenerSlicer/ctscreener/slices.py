"""A DICOM slice: what its header says, and its pixels. GDCM reads both, through SimpleITK.

Nothing here or in `dicom.py` reads or repeats a tag that tells who the patient is.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from ctscreener.errors import InputError
from ctscreener.itk import quiet

log = logging.getLogger(__name__)

HEAD_BYTES = 1024
CT_STORAGE = b"1.2.840.10008.5.1.4.1.1.2"
STORAGE_CLASS = b"\x02\x00\x02\x00UI"
# Files older than the preamble of today begin with their first data element, of group 8.
OLD_START = b"\x08\x00"
# Direction cosines are written with few digits.
UNIT = 1e-3


@dataclass(frozen=True)
class Slice:
    """One DICOM image, without its pixels.

    Arguments:
        path: Its file.
        series: SeriesInstanceUID.
        description: SeriesDescription, printable characters only.
        modality: `CT`, `MR` and so on.
        scout: Whether this is a localizer.
        size: Rows, columns and frames.
        position: Centre of the first pixel in LPS mm, `(3,)`, NaN where the file tells none.
        rows: Direction in which the row index grows, in LPS, `(3,)`, likewise.
        columns: Direction in which the column index grows, in LPS, `(3,)`, likewise.
        spacing: Distance of rows and of columns in mm, `(2,)`, likewise.
    """

    path: Path
    series: str
    description: str
    modality: str
    scout: bool
    size: tuple[int, int, int]
    position: np.ndarray
    rows: np.ndarray
    columns: np.ndarray
    spacing: np.ndarray

    @property
    def placed(self) -> bool:
        """Whether the file tells where in the patient it lies."""
        axes = np.stack([self.rows, self.columns])
        numbers = np.isfinite([*self.position, *axes.ravel(), *self.spacing]).all()
        return bool(numbers) and bool(np.abs(axes @ axes.T - np.eye(2)).max() < UNIT)

    @property
    def normal(self) -> np.ndarray:
        """Unit vector across the slice, in LPS, `(3,)`."""
        across = np.cross(self.columns, self.rows)
        return across / np.linalg.norm(across)

    def stacks_with(self, other: "Slice") -> bool:
        """Tell whether another slice is of the same series, size and direction.

        Arguments:
            other: Any slice.

        Returns:
            True when the two can be slices of one volume.
        """
        if (self.series, self.size, self.placed) != (other.series, other.size, other.placed):
            return False
        mine, others = (np.concatenate([s.rows, s.columns, s.spacing]) for s in (self, other))
        return not self.placed or bool(np.abs(mine - others).max() < UNIT)


def read_slices(folder: Path) -> list[Slice]:
    """Read the header of every DICOM image below a folder.

    Arguments:
        folder: Searched with its subfolders; hidden files and files of other kinds are skipped.

    Returns:
        One entry an image, in the order of the files' paths.

    Raises:
        InputError: `dicom.truncated` for a CT image that cannot be read.
    """
    with quiet():
        return list(_images(path for path in sorted(folder.rglob("*")) if path.is_file()))


def read_pixels(path: Path) -> np.ndarray:
    """Read the pixels of one slice, with its own rescale slope and intercept applied.

    Arguments:
        path: A DICOM image of one frame.

    Returns:
        Hounsfield units of a CT, float32, `(H, W)`.

    Raises:
        InputError: `dicom.truncated`, or `scan.not_scalar` for a picture in colour.
    """
    reader = _reader(path)
    try:
        with quiet():
            image = reader.Execute()
    except RuntimeError:
        raise _truncated(path) from None
    if image.GetNumberOfComponentsPerPixel() != 1:
        raise InputError(
            "scan.not_scalar",
            f"Expected one value a pixel, found a picture in colour in {path.name}.",
            "Choose the CT series, not a screenshot of it.",
        )
    return sitk.GetArrayFromImage(image)[0].astype(np.float32)


def _images(paths: Iterator[Path]) -> Iterator[Slice]:
    """Yield the header of those files that are DICOM images."""
    for path in paths:
        if path.name.startswith("."):
            continue
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
        if head[128:132] != b"DICM" and head[:2] != OLD_START and path.suffix.lower() != ".dcm":
            continue
        reader = _reader(path)
        try:
            reader.ReadImageInformation()
        except RuntimeError:
            if _holds_ct(path, head):
                raise _truncated(path) from None
            log.info("Skipped %s: DICOM, but no image.", path.name)
            continue
        yield _slice(path, reader)


def _holds_ct(path: Path, head: bytes) -> bool:
    """Tell from name and first bytes of an unreadable file whether it was to hold a CT image."""
    if head[128:132] != b"DICM":
        return path.suffix.lower() == ".dcm"
    start = head.find(STORAGE_CLASS) + len(STORAGE_CLASS) + 2
    return STORAGE_CLASS not in head or head[start:].startswith(CT_STORAGE)


def _reader(path: Path) -> sitk.ImageFileReader:
    """Return a reader of one DICOM file."""
    reader = sitk.ImageFileReader()
    reader.SetImageIO("GDCMImageIO")
    reader.SetFileName(str(path))
    return reader


def _slice(path: Path, reader: sitk.ImageFileReader) -> Slice:
    """Take what is needed out of a header."""
    direction = _numbers(reader, "0020|0037", 6)
    columns, rows, frames = (*reader.GetSize(), 1)[:3]
    description = _text(reader, "0008|103e").encode("ascii", "replace").decode()
    return Slice(
        path=path,
        series=_text(reader, "0020|000e"),
        description="".join(letter for letter in description if letter.isprintable()),
        modality=_text(reader, "0008|0060"),
        scout="LOCALIZER" in _text(reader, "0008|0008").upper().split("\\"),
        size=(rows, columns, frames),
        position=_numbers(reader, "0020|0032", 3),
        rows=direction[3:],
        columns=direction[:3],
        spacing=_numbers(reader, "0028|0030", 2),
    )


def _text(reader: sitk.ImageFileReader, tag: str) -> str:
    """Return the text of a tag, empty where the file has none."""
    return reader.GetMetaData(tag).strip(" \0") if reader.HasMetaDataKey(tag) else ""


def _numbers(reader: sitk.ImageFileReader, tag: str, count: int) -> np.ndarray:
    """Return the numbers of a tag, NaN where the file does not have just so many."""
    try:
        numbers = np.array([float(part) for part in _text(reader, tag).split("\\")])
    except ValueError:
        numbers = np.empty(0)
    return numbers if len(numbers) == count else np.full(count, np.nan)


def _truncated(path: Path) -> InputError:
    """Say that a DICOM file ends early."""
    return InputError(
        "dicom.truncated",
        f"Expected a whole CT slice in {path.name}, found a file of {path.stat().st_size} bytes "
        "that ends early or is damaged.",
        "Copy or download this file again.",
    )
