"""The files that a run exchanges: the scan as raw NRRD, map and parts as NRRD of any encoding.

Written here and not by ITK, whose calls keep Python's lock: the window would stand still while
hundreds of megabytes are written. Here it is given back during every piece, and a cancelled run
stops between two of them. Pieces are large, since Slicer hands the lock to a thread only some
times a second: a scan is written in the type in which it is held, in a few turns.
"""

import re
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ctscreener.errors import InputError
from ctscreener.scan import Scan
from ScreenerSlicerLib.translation import tr as _

PIECE_BYTES = 1 << 23
PACKED_BYTES = 1 << 20
SAME_PLACE_MM = 0.01
_TYPES = {"float": "<f4", "unsigned char": "u1"}
_OWN_TYPES = {
    "i1": "signed char",
    "u1": "unsigned char",
    "i2": "short",
    "u2": "ushort",
    "i4": "int",
    "u4": "uint",
    "f4": "float",
    "f8": "double",
}
"""What NRRD calls the types in which a volume may be held."""
_RAS_FROM = {"right-anterior-superior": (1, 1, 1), "left-posterior-superior": (-1, -1, 1)}

Check = Callable[[], None]
"""Called between two pieces; it stops the work by raising."""


def write_scan(path: Path, scan: Scan, check: Check) -> None:
    """Write a scan uncompressed, in its own type where NRRD has that, else as float32.

    Arguments:
        path: The file, `.nrrd`.
        scan: Its array may hold any real type, and may be a view.
        check: Called before every piece of some slices.

    Raises:
        OSError: The file cannot be written.
    """
    columns = scan.affine[:3, [2, 1, 0, 3]].T
    # A number for each float64: neither rounded nor in a notation that a reader might refuse.
    vectors = ["({})".format(",".join(repr(float(x)) for x in column)) for column in columns]
    depth, height, width = scan.shape
    kind = scan.hu.dtype.str[1:]
    kind = kind if kind in _OWN_TYPES else "f4"
    header = [
        "NRRD0004",
        f"type: {_OWN_TYPES[kind]}",
        "dimension: 3",
        "space: right-anterior-superior",
        f"sizes: {width} {height} {depth}",
        f"space directions: {' '.join(vectors[:3])}",
        "kinds: domain domain domain",
        "endian: little",
        "encoding: raw",
        f"space origin: {vectors[3]}",
    ]
    with path.open("wb", buffering=0) as file:
        file.write(("\n".join(header) + "\n\n").encode("ascii"))
        slices = max(1, PIECE_BYTES // (height * width * np.dtype(kind).itemsize))
        for first in range(0, depth, slices):
            check()
            _write_all(file, np.ascontiguousarray(scan.hu[first : first + slices], f"<{kind}"))


def _write_all(file: BinaryIO, values: np.ndarray) -> None:
    """Write an array whole: a raw file may take a part at a time."""
    rest = values.data.cast("B")
    while rest:
        rest = rest[file.write(rest) :]


def read_map(path: Path, like: Scan, check: Check) -> np.ndarray:
    """Read a map, and make sure that it lies on the voxels of its scan.

    Arguments:
        path: A NRRD file of float values, raw or gzip.
        like: The scan that was screened; only its shape and affine are used.
        check: Called between two pieces.

    Returns:
        float32, `(D, H, W)`.

    Raises:
        InputError: `result.unreadable` where it is no such file, cut short, or of another grid.
        OSError: The file cannot be read.
    """
    values, affine = _read(path, "float", check, like.shape)
    corner = np.abs(affine - like.affine)[:3] @ [*like.shape, 1]
    if corner.max() > SAME_PLACE_MM:
        raise _unreadable(_("a map in another place than its scan"))
    return values.astype(np.float32, copy=False)


def read_labels(path: Path, check: Check) -> tuple[np.ndarray, np.ndarray]:
    """Read one label a voxel.

    Arguments:
        path: A NRRD file of unsigned bytes, raw or gzip.
        check: Called between two pieces.

    Returns:
        uint8, `(D, H, W)`, and voxel `(d, h, w, 1)` to RAS mm, `(4, 4)`.

    Raises:
        InputError: `result.unreadable` where it is no such file, or cut short.
        OSError: The file cannot be read.
    """
    return _read(path, "unsigned char", check)


def _read(
    path: Path, wanted: str, check: Check, shape: tuple[int, ...] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Read voxels of a type and of a shape, if one is named, and the affine of their grid."""
    with path.open("rb") as file:
        header = _header(file)
        try:
            sizes = tuple(int(size) for size in reversed(header["sizes"].split()))
            affine = _affine(header)
            packed = {"raw": False, "gzip": True, "gz": True}[header["encoding"]]
            kind = np.dtype({wanted: _TYPES[wanted]}[header["type"]])
        except (KeyError, ValueError) as error:
            unusable = _("a header without a usable {part}").format(part=error)
            raise _unreadable(unusable) from error
        if shape is not None and sizes != tuple(shape):
            other = _("a map of {sizes} voxels for a scan of {shape}")
            raise _unreadable(other.format(sizes=sizes, shape=shape))
        values = np.empty(sizes, kind)
        _fill(values.data.cast("B"), file, packed, check)
    return values, affine


def _header(file: BinaryIO) -> dict[str, str]:
    """Read the fields of a header, up to its empty line."""
    if not file.readline().startswith(b"NRRD"):
        raise _unreadable(_("no NRRD file"))
    fields = {}
    while line := file.readline().decode("ascii", "replace").strip():
        name, colon, value = line.partition(": ")
        if colon and not line.startswith("#"):
            fields[name] = value
    return fields


def _affine(header: dict[str, str]) -> np.ndarray:
    """Voxel `(d, h, w, 1)` to RAS mm, `(4, 4)`."""
    vectors = re.findall(r"\(([^)]*)\)", f"{header['space directions']} {header['space origin']}")
    to_ras = np.array(_RAS_FROM[header["space"]], float)
    x, y, z, origin = (np.array(one.split(","), float) * to_ras for one in vectors)
    return np.vstack([np.column_stack([z, y, x, origin]), [0, 0, 0, 1]])


def _fill(into: memoryview, file: BinaryIO, packed: bool, check: Check) -> None:
    """Fill memory with what follows in a file, unpacked where needed."""
    filled = 0
    for piece in _pieces(file, packed):
        check()
        # Through numpy, which lets other threads work while it copies.
        values = np.frombuffer(piece, np.uint8)[: len(into) - filled]
        np.asarray(into)[filled : filled + len(values)] = values
        filled += len(values)
        if filled == len(into):
            break
    if filled < len(into):
        raise _unreadable(_("a map that is cut short"))


def _pieces(file: BinaryIO, packed: bool) -> Iterator[bytes]:
    """Give the rest of a file, unpacked where needed, in pieces of at most `PIECE_BYTES`.

    A map that is nearly empty unpacks to a thousand times its size: taken at once, the window
    would wait until all of it had been copied. Of what is packed a little is taken at a time, since
    what is not yet unpacked is copied after every piece.
    """
    unpack = zlib.decompressobj(wbits=31) if packed else None
    while rest := file.read(PIECE_BYTES if unpack is None else PACKED_BYTES):
        if unpack is None:
            yield rest
            continue
        piece = b""
        # A full piece may have left more behind although all of the input is used.
        while rest or len(piece) == PIECE_BYTES:
            try:
                piece = unpack.decompress(rest, PIECE_BYTES)
            except zlib.error as error:
                raise _unreadable(_("a damaged map")) from error
            rest = unpack.unconsumed_tail
            yield piece


def _unreadable(found: str) -> InputError:
    return InputError(
        "result.unreadable",
        _("Expected the map of the scan, found {found}.").format(found=found),
        _("Screen the volume again."),
    )
