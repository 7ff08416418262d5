"""A scan or a mask on disk: a NIfTI, NRRD or MetaImage file, or a folder of DICOM files."""

from pathlib import Path

import numpy as np

from ctscreener.ct_checks import check_grid, check_scan
from ctscreener.dicom import read_dicom
from ctscreener.errors import InputError
from ctscreener.file_tree import files_below
from ctscreener.header_text import is_regular
from ctscreener.maps import write_map
from ctscreener.meta_header import read_meta
from ctscreener.nifti import read_nifti
from ctscreener.nrrd_header import read_nrrd
from ctscreener.scan import Scan, same_grid
from ctscreener.stored import Stored, as_sizes
from ctscreener.voxels import read_voxels

__all__ = ["files_of", "read_labels", "read_mask", "read_scan", "same_grid", "write_map"]

NIFTI = (".nii", ".nii.gz")
NRRD = (".nrrd", ".nhdr")
META = (".mha", ".mhd")
FORMATS = (*NIFTI, *NRRD, *META)


def read_scan(path: Path | str, series: str | None = None) -> Scan:
    """Read a CT scan and make sure that it can be screened.

    Values below -1024 HU, which scanners put outside their field of view, are left as they are.

    Arguments:
        path: A NIfTI (.nii, .nii.gz), NRRD (.nrrd, .nhdr) or MetaImage (.mha, .mhd) file, or a
            folder of DICOM files.
        series: SeriesInstanceUID of the one to read, where a folder holds several.

    Returns:
        The scan, on the axes that the file has.

    Raises:
        InputError: One of `scan.*` or `dicom.*`.
    """
    path = Path(path)
    if path.is_dir():
        scan = read_dicom(path, series)
    elif not is_regular(path):
        found = "a pipe or a device" if path.exists() else "nothing"
        raise InputError(
            "scan.missing", f"Expected a scan, found {found} at {path}.", "Check the path."
        )
    else:
        values, affine = _read(path)
        with np.errstate(over="ignore", invalid="ignore"):
            scan = Scan(values.astype(np.float32, copy=False), affine)
    check_scan(scan)
    return scan


def read_mask(path: Path, like: Scan) -> np.ndarray:
    """Read a mask that was drawn on a scan.

    Arguments:
        path: A file as `read_scan` reads, of whole numbers from 0 to 255.
        like: The scan that the mask belongs to.

    Returns:
        Labels, 0 where there is nothing, uint8, in the shape of the scan.

    Raises:
        InputError: `mask.grid` when the mask lies on other voxels than the scan, `mask.values`
            when it holds no labels, or one of `scan.*` when it cannot be read.
    """
    labels, affine = read_labels(path)
    if not same_grid(labels.shape, affine, like.shape, like.affine):
        raise InputError(
            "mask.grid",
            f"Expected {path.name} on the {as_sizes(like.shape)} voxels of its scan, found "
            f"{as_sizes(labels.shape)} or another place.",
            "Resample the mask to the scan, by nearest neighbour.",
        )
    return labels


def read_labels(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read a mask on its own grid.

    Arguments:
        path: A file as `read_scan` reads, of whole numbers from 0 to 255.

    Returns:
        Labels, uint8, `(D, H, W)`, and their affine, `(4, 4)`.

    Raises:
        InputError: `mask.values` when it holds no labels, or one of `scan.*` when it cannot be
            read.
    """
    if not is_regular(path):
        raise InputError(
            "scan.missing", f"Expected a mask, found no file at {path}.", "Check the path."
        )
    values, affine = _read(path)
    with np.errstate(invalid="ignore"):
        labels = values.astype(np.uint8)
    if not np.array_equal(labels, values):
        raise InputError(
            "mask.values",
            f"Expected whole numbers from 0 to 255 in {path.name}, found others.",
            "Save the mask as a label map.",
        )
    return labels, affine


def files_of(path: Path) -> list[Path]:
    """Name every file that a scan or a mask is read from.

    Arguments:
        path: As `read_scan` takes it.

    Returns:
        The file itself, first, and the data files that its header names; of a folder every file
        in it, at any depth, sorted.

    Raises:
        InputError: `scan.unreadable` or `scan.data_missing`, where the header does not tell, or
            one of `files_below`.
    """
    if path.is_dir():
        return files_below(path)
    if not path.name.lower().endswith((*NRRD, *META)):
        return [path]
    return list(dict.fromkeys([path, *_header(path).place.parts]))


def _read(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read one file: values `(D, H, W)`, of the file's own type or rescaled, and their affine."""
    stored = _header(path)
    check_grid(stored.affine)
    try:
        return read_voxels(stored), stored.affine
    except OSError as failure:
        raise _unreadable(path, failure) from failure


def _header(path: Path) -> Stored:
    """Read what a file says of its voxels."""
    name = path.name.lower()
    if not name.endswith(FORMATS):
        raise InputError(
            "scan.format",
            f"Expected a file ending in {', '.join(FORMATS)} or a folder of DICOM files, found "
            f"{path.name}.",
            "For DICOM, give the folder that holds all slices.",
        )
    try:
        if name.endswith(NIFTI):
            return read_nifti(path)
        return read_nrrd(path) if name.endswith(NRRD) else read_meta(path)
    except OSError as failure:
        raise _unreadable(path, failure) from failure


def _unreadable(path: Path, failure: OSError) -> InputError:
    """Say why the system did not let us read a file."""
    return InputError(
        "scan.unreadable",
        f"Expected a file that can be read, found {path.name}: {failure.strerror or failure}.",
        "Check its permissions, or copy the file again.",
    )
