"""Archives: the scans in a tree of folders, files and DICOM series at any depth."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from ctscreener.dicom_parts import scan_series
from ctscreener.errors import InputError
from ctscreener.file_tree import Tree, list_tree
from ctscreener.files import FORMATS
from ctscreener.slices import Slice, read_images


def scans_below(path: Path) -> Iterator[tuple[Path, str | None]]:
    """Give the scans at or below a path, and of a folder with several series which one.

    Arguments:
        path: A file, which is taken for a scan, or a folder. Masks, `*_lesion.*`, are left out.

    Yields:
        File or DICOM folder, and the SeriesInstanceUID where the folder is not all of one series.
    """
    if not path.is_dir():
        yield path, None
        return
    tree = list_tree(path)
    folders = find_series(tree)
    for folder, all_series in folders.items():
        yield from ((folder, series) for series in all_series)
    for file in (*tree.files, *tree.dangling):
        if file.parent not in folders and _is_scan(file.name):
            yield file, None


def stem(path: Path) -> str:
    """Give a path's name without the ending of an image file, in letters that any disk takes.

    Example:
        >>> stem(Path("a/chest.v2.nii.gz")), stem(Path("1.2.840"))
        ('chest.v2', '1.2.840')
    """
    name = os.fsencode(path.name).decode("utf-8", "replace").replace("\ufffd", "_")
    for ending in sorted(FORMATS, key=len, reverse=True):
        if name.lower().endswith(ending):
            return name[: -len(ending)]
    return name


def _is_scan(name: str) -> bool:
    """Whether a file of this name is a scan, not a mask of lesions."""
    return name.lower().endswith(FORMATS) and not stem(Path(name)).endswith("_lesion")


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
