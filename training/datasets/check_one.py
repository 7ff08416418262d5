"""What is known of one scan of a download: whether it is there, whole, and where its lesions are."""

import hashlib
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image

from ctscreener.errors import InputError
from ctscreener.files import NIFTI, files_of
from ctscreener.nifti import read_nifti
from ctscreener.preprocess import PreprocessSettings, prepare
from ctscreener.reading import Reader as Reading
from ctscreener.scan import Scan, reoriented_to_canonical
from training.data.duplicates import fingerprint
from training.datasets.example import Example, Reader
from training.datasets.masks import lesions_of
from training.datasets.readers import READERS
from training.evaluation.case_picture import OUTLINE, chosen_slice, outline, scaled

COARSE = replace(PreprocessSettings(), spacing=(6.0, 6.0, 6.0), multiple=(1, 1, 1))
"""Enough for a thumbnail of twelve cells a side, and ten times as quick."""
SIDE = 160
"""Pixels of a picture."""
WINDOW = (-1000.0, 400.0)
BLOCK = 1 << 20


@dataclass(frozen=True)
class Task:
    """What is to be found out of one scan.

    Arguments:
        dataset: Name of its set.
        example: What the set's reader says of it.
        voxels: Read it, and compare it with others.
        picture: Draw it.
    """

    dataset: str
    example: Example
    voxels: bool = False
    picture: bool = False


@dataclass(frozen=True)
class Found:
    """What was found out of one scan.

    Arguments:
        name: Its name.
        patient: Whose it is.
        split: The set's own.
        bytes: Of its files; 0 where it is missing.
        missing: What is missing of it.
        broken: Why it cannot be used.
        masked: Whether something tells of its mask.
        lesion_ml: Volume of its lesions; None where nothing tells of any.
        fingerprint: Like that of nearly the same scans; empty where it was not read.
        picture: Grey or coloured, uint8, `(H, W, 3)`; None where it was not drawn.
    """

    name: str
    patient: str
    split: str
    bytes: int = 0
    missing: str = ""
    broken: str = ""
    masked: bool = False
    lesion_ml: float | None = None
    fingerprint: str = ""
    picture: np.ndarray | None = field(default=None, compare=False)


def look_at(task: Task) -> Found:
    """Find out what there is to know of one scan; nothing of it is left in memory."""
    example = task.example
    found = Found(example.name, example.patient, example.split, masked=example.mask is not None)
    gone = [
        path for path in (example.scan, example.mask, *example.more) if path and not path.exists()
    ]
    if gone:
        return replace(found, missing=", ".join(path.name for path in gone))
    try:
        found = replace(found, bytes=size_of(example.scan))
        if not found.bytes:
            return replace(found, missing=f"all of {example.scan.name}, which is empty")
        if not (task.voxels or task.picture):
            check_header(example.scan)
            return found
        return _read(task, found)
    except InputError as error:
        return replace(found, broken=error.message)
    except MemoryError:
        return replace(found, broken="Expected a scan that fits the memory, found a larger one.")
    except OSError as error:
        return replace(found, broken=f"Expected files that can be read, found: {error}.")


def size_of(path: Path) -> int:
    """Bytes of a file, its data files, or all files of a folder."""
    return sum(file.stat().st_size for file in files_of(path))


def check_header(path: Path) -> None:
    """Read the header of a NIfTI, and of any other scan what names its files.

    Raises:
        InputError: One of `scan.*`.
    """
    if path.name.lower().endswith(NIFTI):
        read_nifti(path)
    else:
        files_of(path)


def digest_of(path: Path) -> str:
    """SHA-256 of all files of a scan."""
    digest = hashlib.sha256()
    for file in files_of(path):
        with file.open("rb") as stream:
            while block := stream.read(BLOCK):
                digest.update(block)
    return digest.hexdigest()


@lru_cache(maxsize=1)
def _reading() -> Reading:
    """The process that reads, which a file may crash."""
    return Reading()


def _read(task: Task, found: Found) -> Found:
    """Read scan and mask."""
    reader, example = READERS[task.dataset], task.example
    scan = reader.read(example, _reading().read)
    labels = lesions_of(reader, example, scan)
    lesion = None if labels is None else lesion_of(labels, reader)
    ml = None if lesion is None else float(lesion.sum() * np.prod(scan.spacing) / 1000)
    return replace(
        found,
        lesion_ml=ml,
        fingerprint=_print(scan, reader) if task.voxels else "",
        picture=picture_of(scan, lesion) if task.picture else None,
    )


def lesion_of(labels: np.ndarray, reader: Reader) -> np.ndarray:
    """Where the lesions of a set are, bool, in the shape of the labels."""
    return labels == reader.lesions if reader.lesions else labels > 0


def _print(scan: Scan, reader: Reader) -> str:
    """The fingerprint of a CT; of other kinds there is none."""
    return fingerprint(prepare(scan, COARSE).image) if reader.kind == "ct" else ""


def picture_of(scan: Scan, lesion: np.ndarray | None) -> np.ndarray:
    """Draw the axial slice with most of the lesions, or the middle one, right side on the left.

    Arguments:
        scan: The scan.
        lesion: Its lesions, bool, in its shape; None where nothing tells of any.

    Returns:
        uint8, `(SIDE, SIDE, 3)`.
    """
    hu = reoriented_to_canonical(scan)
    marked = np.zeros(scan.shape, np.uint8) if lesion is None else lesion.astype(np.uint8)
    turned = reoriented_to_canonical(Scan(marked, scan.affine)).hu > 0
    at = chosen_slice(np.zeros(hu.shape), turned) if turned.any() else hu.shape[0] // 2
    low, high = WINDOW if hu.hu.min() < 0 else (0.0, float(np.percentile(hu.hu[at], 99.5)) or 1.0)
    grey = np.rint(255 * np.clip((hu.hu[at] - low) / (high - low), 0, 1)).astype(np.uint8)
    _, down, across = hu.spacing
    extent = np.array([grey.shape[1] * across, grey.shape[0] * down])
    width, height = np.maximum(1, np.rint(SIDE * extent / extent.max())).astype(int)
    size = int(width), int(height)
    panel = scaled(np.repeat(grey[..., None], 3, axis=2), size, Image.Resampling.BILINEAR)
    edge = outline(scaled(turned[at].astype(np.uint8) * 255, size, Image.Resampling.NEAREST) > 0)
    panel[edge] = OUTLINE
    canvas = np.zeros((SIDE, SIDE, 3), np.uint8)
    canvas[: size[1], : size[0]] = panel
    return canvas
