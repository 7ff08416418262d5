"""Arrays of a store: compressed in chunks, or as numpy writes them."""

import errno
import importlib.util
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from ctscreener.errors import InputError
from ctscreener.whole_file import whole_file

CHUNK = (32, 64, 64)
BLOSC2, NUMPY = ".b2nd", ".npy"
"""Endings of arrays: in compressed chunks, or as they lie in memory."""


def write_array(path: Path, values: np.ndarray) -> None:
    """Write one array that is whole or not there.

    Arguments:
        path: The file. `.b2nd` is compressed in chunks, by blosc2. `.npy` is neither: larger, and
            read without unpacking, by numpy alone.
        values: uint8 or int16, `(D, H, W)`.

    Raises:
        InputError: The disk is full, or the folder may not be written.
    """
    contiguous: Any = np.ascontiguousarray(values)
    with whole_file(path) as part:
        if path.suffix == NUMPY:
            with part.open("wb") as file:
                np.save(file, contiguous)
            return
        import blosc2

        try:
            blosc2.asarray(
                contiguous,
                chunks=tuple(min(c, s) for c, s in zip(CHUNK, values.shape, strict=True)),
                urlpath=str(part),
                mode="w",
                cparams=blosc2.CParams(codec=blosc2.Codec.ZSTD, clevel=5, nthreads=1),
            )
        except RuntimeError as error:
            # blosc2 does not say what the system said.
            full = shutil.disk_usage(path.parent).free < values.nbytes
            number = errno.ENOSPC if full else errno.EIO
            raise OSError(number, str(error), str(path)) from error


def open_array(stem: Path, shape: tuple[int, int, int], in_memory: bool) -> Any:  # noqa: ANN401
    """Open one array for reading, checked against the manifest."""
    numpy, path = (stem.with_name(stem.name + suffix) for suffix in (NUMPY, BLOSC2))
    if numpy.exists():
        return _checked(np.load(numpy, mmap_mode="r", allow_pickle=False), numpy, shape, in_memory)
    if not path.exists():
        raise InputError(
            "store.incomplete",
            f"Expected the file {path}, which the store's manifest lists, found none.",
            "Run the stage `prepare` again.",
        )
    if importlib.util.find_spec("blosc2") is None:
        raise InputError(
            "store.blosc2",
            f"Expected the package blosc2 to read {path}, found none.",
            "Install it, or bring the scans by `pack` and `unpack`, which do without.",
        )
    import blosc2

    options: Any = {"mode": "r", "mmap_mode": "r", "dparams": blosc2.DParams(nthreads=1)}
    return _checked(blosc2.open(str(path), **options), path, shape, in_memory)


def _checked(array: Any, path: Path, shape: tuple[int, int, int], in_memory: bool) -> Any:  # noqa: ANN401
    """An array of the shape that the manifest tells, unpacked where asked for."""
    if tuple(array.shape) != shape:
        raise InputError(
            "store.shape",
            f"Expected {shape} voxels in {path}, found {tuple(array.shape)}.",
            "Delete the store and run the stage `prepare` again.",
        )
    return np.array(array[:]) if in_memory else array
