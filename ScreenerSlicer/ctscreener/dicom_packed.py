"""Compressed pixels of DICOM files: found whole, then unpacked by GDCM through SimpleITK.

GDCM fills up what is missing of a picture that ends early; so its end is looked for first.
"""

import contextlib
import os
import struct
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ctscreener.dicom_elements import DamagedError, Pixels
from ctscreener.dicom_parser import data_set
from ctscreener.itk import quiet

# One at a time may turn off what the whole process prints.
_printing = threading.Lock()

RLE = "1.2.840.10008.1.2.5"
JPEG = "1.2.840.10008.1.2.4."
"""What the syntaxes of JPEG, JPEG-LS and JPEG 2000 begin with: all end with the same two bytes."""
END, TAIL = b"\xff\xd9", 16
RLE_HEADER = struct.Struct("<16I")


def check_packed(path: Path, pixels: Pixels, syntax: str, size: tuple[int, int]) -> None:
    """Make sure that compressed pictures do not end early.

    Arguments:
        path: Their file.
        pixels: Where they lie.
        syntax: How they are packed, a UID.
        size: Rows and columns of each.

    Raises:
        DamagedError: One ends early.
    """
    with data_set(path) as take:
        if syntax.startswith(JPEG):
            start, length = pixels.fragments[-1]
            tail = min(length, TAIL)
            if END not in take(start + length - tail, tail):
                raise DamagedError("a compressed picture without an end")
        if syntax == RLE:
            for start, length in pixels.fragments:
                _check_runs(take(start, length), size[0] * size[1])


def _check_runs(packed: bytes, count: int) -> None:
    """Make sure that every segment of an RLE picture unpacks to `count` bytes (PS3.5, annex G)."""
    if len(packed) < RLE_HEADER.size:
        raise DamagedError("a run-length picture without a header")
    segments, *offsets = RLE_HEADER.unpack_from(packed)
    ends = [*offsets[1:segments], len(packed)]
    if not 1 <= segments <= len(offsets) or sorted(ends) != ends or ends[-1] > len(packed):
        raise DamagedError("a run-length picture whose segments lie outside of it")
    for start, end in zip(offsets[:segments], ends, strict=True):
        left = _runs_missing(packed, start, end, count)
        if left > 0:
            raise DamagedError(f"a run-length picture that ends {left} bytes early")


def _runs_missing(packed: bytes, start: int, end: int, count: int) -> int:
    """Count the bytes of `count` that a segment does not unpack to."""
    place = start
    while count > 0 and place < end:
        code = packed[place]
        if code < 128:
            count -= min(code + 1, end - place - 1)
            place += code + 2
        elif code > 128:
            # The byte that is repeated may be missing.
            count -= 257 - code if place + 1 < end else 0
            place += 2
        else:
            place += 1
    return count


def unpack(path: Path, shape: tuple[int, int, int]) -> np.ndarray:
    """Let GDCM unpack the pictures of a file and rescale them.

    Arguments:
        path: A file that `check_packed` has passed.
        shape: Frames, rows and columns that it promises.

    Returns:
        Hounsfield units, of any type, in that shape.

    Raises:
        DamagedError: It does not hold such.
    """
    import SimpleITK as sitk

    reader = sitk.ImageFileReader()
    reader.SetImageIO("GDCMImageIO")
    reader.SetFileName(str(path))
    try:
        with quiet(), _silent():
            image = reader.Execute()
    except RuntimeError:
        found = "compressed pixels that are damaged, or packed in an unknown way"
        raise DamagedError(found) from None
    values = sitk.GetArrayFromImage(image)
    if values.size != np.prod(shape):
        raise DamagedError(f"a picture of {values.shape} for one of {shape}")
    return values.reshape(shape)


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Keep libjpeg from printing: it tries its 8-bit form first and complains of 12 bits."""
    with _printing:
        try:
            kept = os.dup(2)
        except OSError:
            # It is closed: nobody listens.
            yield
            return
        if sys.stderr is not None:
            sys.stderr.flush()
        try:
            with open(os.devnull, "wb") as nothing:
                os.dup2(nothing.fileno(), 2)
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
