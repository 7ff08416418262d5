"""The voxels of a file, read by ourselves: exactly as many as the header promises, or none.

No more is unpacked than that and one byte, so that a small file cannot fill memory or run on.
"""

import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import final

import numpy as np

from ctscreener.stored import Packing, Stored, damaged

CHUNK_BYTES = 1 << 20
MAX_RATIO = 1032
"""How many bytes deflate packs into one at best, https://zlib.net/zlib_tech.html."""

Stream = io.BufferedIOBase | io.RawIOBase


@final
class _Zlib(io.RawIOBase):
    """The bytes of one zlib stream that is unpacked as it is read."""

    def __init__(self, file: Stream) -> None:
        super().__init__()
        self._file = file
        # 32: the header of the stream tells whether it is zlib's or gzip's, as for MetaIO.
        self._unpacker = zlib.decompressobj(zlib.MAX_WBITS + 32)

    def readable(self) -> bool:
        """Tell that this can be read."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Fill a part of the buffer, and return how many bytes; 0 at the end of the stream."""
        while not self._unpacker.eof:
            packed = self._unpacker.unconsumed_tail or self._file.read(CHUNK_BYTES) or b""
            data = self._unpacker.decompress(packed, len(buffer))
            if data:
                buffer[: len(data)] = data
                return len(data)
            if not packed:
                raise EOFError
        if self._unpacker.unused_data or self._file.read(1):
            raise zlib.error("bytes after the end")
        return 0


def read_voxels(stored: Stored) -> np.ndarray:
    """Read all voxels of an image.

    Arguments:
        stored: What its header says.

    Returns:
        Values, `(D, H, W)`: of the file's own type, or float32 where they are rescaled.

    Raises:
        InputError: `scan.unreadable` when the data are damaged, or fewer or more than promised.
    """
    share = stored.part_bytes
    for part in stored.place.parts:
        _check_size(stored, part)
    values = np.empty(stored.shape, stored.number)
    view = values.view(np.uint8).reshape(-1).data
    for index, part in enumerate(stored.place.parts):
        with _opened(stored, part) as stream:
            _fill(stream, view[index * share : (index + 1) * share], part.name)
    return _rescaled(values, stored)


def check_voxels(stored: Stored) -> None:
    """Make sure that the data are all there, without keeping them.

    Arguments:
        stored: What its header says.

    Raises:
        InputError: As `read_voxels`.
    """
    buffer = memoryview(bytearray(min(CHUNK_BYTES, stored.part_bytes)))
    for part in stored.place.parts:
        _check_size(stored, part)
        with _opened(stored, part) as stream:
            for begin in range(0, stored.part_bytes, CHUNK_BYTES):
                left = stored.part_bytes - begin
                _fill(stream, buffer[:left], part.name, last=left <= CHUNK_BYTES)


@contextmanager
def unpacked(file: Stream, packing: Packing, name: str) -> Iterator[Stream]:
    """Unpack a file while it is read.

    Arguments:
        file: The file, at the first byte of its data.
        packing: `raw`, `gzip` or `zlib`.
        name: Name of the file.

    Yields:
        The data, unpacked.

    Raises:
        InputError: `scan.unreadable` when the data are damaged or end early.
    """
    try:
        if packing == "gzip":
            with gzip.GzipFile(fileobj=file, mode="rb") as stream:
                yield stream
        else:
            yield _Zlib(file) if packing == "zlib" else file
    except (EOFError, gzip.BadGzipFile, zlib.error):
        kind = "gzip" if packing == "gzip" else "zlib"
        raise damaged(
            name, f"a whole {kind} stream", "one that ends early or is damaged"
        ) from None


@contextmanager
def _opened(stored: Stored, part: Path) -> Iterator[Stream]:
    """Open a data file at its first voxel."""
    place = stored.place
    with part.open("rb") as file:
        if place.at_end:
            file.seek(-stored.part_bytes, io.SEEK_END)
        else:
            file.seek(place.start)
        for _ in range(place.lines):
            file.readline()
        with unpacked(file, place.packing, part.name) as stream:
            _skip(stream, place.skipped)
            yield stream


def _check_size(stored: Stored, part: Path) -> None:
    """Make sure that a data file can hold its voxels, before memory is taken for them."""
    place, share = stored.place, stored.part_bytes
    held = max(part.stat().st_size - place.start, 0)
    if place.packed_bytes is not None and place.packed_bytes != held:
        raise damaged(part.name, f"{place.packed_bytes} bytes of packed voxels", f"{held} bytes")
    if share + place.skipped > (held if place.packing == "raw" else held * MAX_RATIO):
        packed = "" if place.packing == "raw" else " packed"
        raise damaged(part.name, f"{share} bytes of voxels", f"{held} bytes{packed}")


def _skip(stream: Stream, count: int) -> None:
    """Read past some bytes."""
    while count and (chunk := stream.read(min(CHUNK_BYTES, count))):
        count -= len(chunk)


def _fill(stream: Stream, view: memoryview, name: str, last: bool = True) -> None:
    """Fill a buffer from a stream, which must end there if this is its last part."""
    found = 0
    while found < len(view) and (count := stream.readinto(view[found : found + CHUNK_BYTES])):
        found += count
    if found < len(view):
        raise damaged(name, f"{len(view) - found} more bytes of voxels", "the end of the file")
    # Reading on to the end also checks the data against their checksum.
    if last and stream.read(1):
        raise damaged(name, "an end after the last voxel that the header tells of", "more data")


def _rescaled(values: np.ndarray, stored: Stored) -> np.ndarray:
    """Apply slope and intercept, slice by slice: float64 of all would fill the memory."""
    if (stored.slope, stored.intercept) == (1.0, 0.0):
        return values
    rescaled = np.empty(values.shape, np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        for source, target in zip(values, rescaled, strict=True):
            target[:] = source.astype(np.float64) * stored.slope + stored.intercept
    return rescaled
