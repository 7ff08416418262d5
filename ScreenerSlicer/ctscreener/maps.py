"""A map on disk: written beside its final name and renamed once it is whole."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from ctscreener import nifti
from ctscreener.errors import InputError
from ctscreener.itk import quiet, to_image

FORMATS = (".nrrd", ".nii.gz")
# Maps are noise in their last bits: harder compression takes five times as long for 1 % less.
COMPRESSION = 1
# A disk with less than this left while a file is being written is what made the writing fail.
FULL_BYTES = 1 << 16


def write_map(path: Path, values: np.ndarray, affine: np.ndarray) -> None:
    """Write one value a voxel, on exactly the grid that the affine tells.

    Arguments:
        path: `.nrrd` or `.nii.gz`; what stood there is replaced.
        values: Stored as float32, NaN where there is no value, `(D, H, W)`.
        affine: Voxel index `(d, h, w, 1)` to RAS mm, `(4, 4)`, with perpendicular axes.

    Raises:
        InputError: `output.format` for another file name, or one of `whole_file`.
    """
    if not path.name.endswith(FORMATS):
        raise InputError(
            "output.format",
            f"Expected a map's name to end in {' or '.join(FORMATS)}, found {path.name}.",
            "Choose one of these endings.",
        )
    image = to_image(values.astype(np.float32, copy=False), affine)
    with whole_file(path) as part, quiet():
        try:
            sitk.WriteImage(image, str(part), True, COMPRESSION)
            if path.name.endswith(".nii.gz"):
                # ITK reports no error when the disk is full while it writes this format.
                nifti.check_whole(part)
        except (RuntimeError, InputError) as failure:
            raise OSError(errno.EIO, str(failure)) from failure


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Lend a hidden name beside `path`, and rename it to `path` once the block has ended well.

    Arguments:
        path: The file to make, in a folder that exists.

    Yields:
        Where to write, with the same ending as `path`.

    Raises:
        InputError: `output.disk_full` or `output.unwritable` when the disk or its permissions
            were in the way; nothing is left behind then, and an older file at `path` stays.
    """
    part = path.with_name(f".{os.getpid()}-{path.name}")
    try:
        yield part
        os.replace(part, path)
    except OSError as failure:
        raise _not_written(path, failure) from failure
    finally:
        with suppress(OSError):
            part.unlink()


def _not_written(path: Path, failure: OSError) -> InputError:
    """Say why a file could not be written."""
    if failure.errno in (errno.ENOSPC, errno.EDQUOT) or _is_full(path.parent):
        return InputError(
            "output.disk_full",
            f"Expected room on the disk for {path.name}, found it full.",
            "Free some space or choose another folder.",
        )
    reason = os.strerror(failure.errno) if failure.errno else "the file could not be finished"
    return InputError(
        "output.unwritable",
        f"Expected to write {path.name} into the folder {path.parent}, found: {reason}.",
        "Check the folder and its permissions, or choose another.",
    )


def _is_full(folder: Path) -> bool:
    """Tell whether a disk has no room left; SimpleITK's errors do not."""
    return folder.is_dir() and shutil.disk_usage(folder).free < FULL_BYTES
