"""DICOM folders of a tree: which series each of them holds."""

from collections.abc import Sequence
from pathlib import Path

from ctscreener.dicom_parts import scan_series
from ctscreener.errors import InputError
from ctscreener.file_tree import Tree
from ctscreener.slices import Slice, read_images


def find_series(tree: Tree) -> dict[Path, list[str | None]]:
    """Find the folders that hold DICOM images, and the CT series in each.

    An index (DICOMDIR) or a report is no image, and scouts beside a scan are no series.

    Arguments:
        tree: The files.

    Returns:
        For each folder its SeriesInstanceUIDs; a single None where the folder is the scan, as
        nothing else is in or below it.
    """
    found: dict[Path, list[str]] = {}
    for folder, files in _by_folder(tree).items():
        series = _series_of(files)
        if series is not None:
            found[folder] = series
    return {
        folder: list(series) if len(series) > 1 or (series and _above(folder, found)) else [None]
        for folder, series in found.items()
    }


def _by_folder(tree: Tree) -> dict[Path, list[Path]]:
    """Group the files that may be DICOM by their folder, not fetched ones included."""
    folders: dict[Path, list[Path]] = {}
    absent = [path for path in tree.dangling if path.suffix.lower() == ".dcm"]
    for path in (*tree.files, *absent):
        if not path.name.startswith("."):
            folders.setdefault(path.parent, []).append(path)
    return folders


def _series_of(files: Sequence[Path]) -> list[str] | None:
    """Name the series in the files of one folder; None where none of them is an image.

    Empty where a file is damaged or out of reach, so that it is unknown what is in it: reading
    the folder says why.
    """
    images: list[Slice] = []
    for path in files:
        try:
            images += read_images(path)
        except (InputError, OSError):
            return []
    return scan_series(images) if images else None


def _above(folder: Path, others: dict[Path, list[str]]) -> bool:
    """Tell whether a folder with images lies below another."""
    return any(folder in other.parents for other in others)
