"""A DICOM file as its elements: every length is checked against the file before it is trusted.

Of the standard (PS3.5 and PS3.10) it knows what a header needs: the four ways to write elements,
sequences of known and of unknown length, and where the pixels lie. Values of no interest are never
read, whatever length they claim.
"""

import io
import re
import struct
import zlib
from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import BinaryIO

from ctscreener.dicom_elements import DamagedError, Elements, Header, Pixels

IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
DEFLATED = "1.2.840.10008.1.2.1.99"
BIG_ENDIAN = "1.2.840.10008.1.2.2"
NATIVE = (IMPLICIT, EXPLICIT, DEFLATED, BIG_ENDIAN)
"""Transfer syntaxes whose pixels are not compressed."""
MAGIC = b"DICM"
PREAMBLE = 128
# Files older than the preamble begin with their first element, of group 2 or 8.
OLD_STARTS = (b"\x08\x00", b"\x02\x00")

SYNTAX = 0x0002_0010
PIXELS = 0x7FE0_0010
ITEM, ITEM_END, SEQUENCE_END = 0xFFFE_E000, 0xFFFE_E00D, 0xFFFE_E0DD
UNDEFINED = 0xFFFF_FFFF
LONG_VRS = (b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT")
LONG_VRS += (b"UV",)
# What is wanted are short texts and numbers; sequences are nested four deep in practice.
MAX_VALUE = 1 << 16
MAX_DEPTH = 16
MAX_INFLATED = 1 << 28


@dataclass
class _Reader:
    """A place in a stream of `size` bytes, and how elements are written from there on."""

    stream: BinaryIO
    size: int
    explicit: bool
    order: str
    wanted: AbstractSet[int] = field(default_factory=frozenset)
    entered: AbstractSet[int] = field(default_factory=frozenset)


def looks_like_dicom(path: Path) -> bool:
    """Tell by its first bytes, or by its name, whether a regular file is DICOM."""
    with path.open("rb") as file:
        head = file.read(PREAMBLE + len(MAGIC))
    return head[PREAMBLE:] == MAGIC or head[:2] in OLD_STARTS or path.suffix.lower() == ".dcm"


def has_magic(path: Path) -> bool:
    """Tell whether a file has the four letters that mark DICOM."""
    with path.open("rb") as file:
        return file.read(PREAMBLE + len(MAGIC))[PREAMBLE:] == MAGIC


def read_header(path: Path, wanted: AbstractSet[int], entered: AbstractSet[int]) -> Header:
    """Read the elements of a file up to its pixels.

    Arguments:
        path: A regular file.
        wanted: Tags whose values are kept.
        entered: Tags of sequences whose items are kept.

    Returns:
        The header.

    Raises:
        DamagedError: The file is no DICOM, or its lengths lead beyond its end.
        OSError: It cannot be read.
    """
    with path.open("rb") as file:
        meta, syntax, reader = _open(file, wanted)
        reader.wanted, reader.entered = wanted, entered
        return Header(meta, syntax, _data_set(reader, reader.size, 0))


def read_meta(path: Path, wanted: AbstractSet[int]) -> Elements:
    """Read the file meta information alone, as far as it can be read.

    Arguments:
        path: A regular file.
        wanted: Tags whose values are kept.

    Returns:
        What was found; nothing in a file that is too damaged for that.

    Raises:
        OSError: It cannot be read.
    """
    try:
        with path.open("rb") as file:
            return _open(file, wanted)[0]
    except DamagedError:
        return Elements({}, {})


@contextmanager
def data_set(path: Path) -> Iterator[Callable[[int, int], bytes]]:
    """Open a file to read bytes of its data set.

    Arguments:
        path: A file that `read_header` took.

    Yields:
        A function of the first byte, as `Pixels` counts them, and of how many there are. It gives
        just so many, or raises `DamagedError`.

    Raises:
        DamagedError: The file is no longer what it was.
        OSError: It cannot be read.
    """
    with path.open("rb") as file:
        _, _, reader = _open(file, frozenset())
        yield partial(_take, reader)


def _open(file: BinaryIO, wanted: AbstractSet[int]) -> tuple[Elements, str, _Reader]:
    """Read the meta information, and stand at the data set."""
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    has_preamble = file.read(PREAMBLE + len(MAGIC))[PREAMBLE:] == MAGIC
    file.seek(PREAMBLE + len(MAGIC) if has_preamble else 0)
    reader = _Reader(file, size, explicit=True, order="<", wanted=wanted | {SYNTAX})
    meta = Elements({}, {})
    while (next_two := _peek(file, 2)) == b"\x02\x00":
        _element(reader, meta, size, 0)
    if not next_two:
        raise DamagedError(f"a file of {size} bytes without an image")
    syntax = meta.text(SYNTAX) or EXPLICIT
    if syntax == DEFLATED:
        inflated = _inflated(file.read())
        reader = _Reader(io.BytesIO(inflated), len(inflated), explicit=True, order="<")
    reader.order = ">" if syntax == BIG_ENDIAN else "<"
    # Some files are not written as they say; the letters of a VR tell.
    reader.explicit = bool(re.fullmatch(rb"[A-Z]{2}", _peek(reader.stream, 6)[4:]))
    return meta, syntax, reader


def _inflated(packed: bytes) -> bytes:
    """Unpack a deflated data set, to a size that is not beyond reason."""
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        data = inflater.decompress(packed, MAX_INFLATED)
    except zlib.error as failure:
        raise DamagedError("a deflated file that cannot be unpacked") from failure
    if not inflater.eof:
        raise DamagedError("a deflated file that is cut short or larger than any slice")
    return data


def _peek(file: BinaryIO, count: int) -> bytes:
    """Read ahead, and stay."""
    here = file.tell()
    ahead = file.read(count)
    file.seek(here)
    return ahead


def _take(reader: _Reader, start: int, length: int) -> bytes:
    """Read bytes that must be there."""
    reader.stream.seek(start)
    found = reader.stream.read(length)
    if len(found) < length:
        raise DamagedError(f"a file of {reader.size} bytes that ends early")
    return found


def _data_set(reader: _Reader, end: int, depth: int, closed: bool = True) -> Elements:
    """Read elements up to `end`, up to the pixels, or where not `closed` up to the item's end."""
    if depth > MAX_DEPTH:
        raise DamagedError(f"sequences nested more than {MAX_DEPTH} deep")
    found = Elements({}, {}, reader.order)
    while reader.stream.tell() < end:
        pixels = _element(reader, found, end, depth)
        if isinstance(pixels, Pixels):
            return Elements(found.values, found.items, found.order, pixels)
        if pixels == ITEM_END and not closed:
            return found
    if not closed:
        raise DamagedError(f"a file of {reader.size} bytes that ends within a sequence")
    return found


def _element(reader: _Reader, into: Elements, end: int, depth: int) -> Pixels | int:
    """Read one element, keep it if it is wanted, and stand behind it; returns its tag or pixels."""
    tag, vr, length = _start(reader)
    here = reader.stream.tell()
    if tag == PIXELS and (depth == 0 or length == UNDEFINED):
        pixels = _fragments(reader) if length == UNDEFINED else _plain(reader, here, length)
        # Those within a sequence are of an icon.
        return pixels if depth == 0 else tag
    if length == UNDEFINED:
        items = _sequence(reader, end, None, depth, unknown=vr == b"UN")
        if tag in reader.entered:
            into.items[tag] = items
        return tag
    if here + length > end:
        raise _beyond(tag, length, end - here)
    if tag in reader.entered and vr in (b"SQ", b"UN", b""):
        into.items[tag] = _sequence(reader, here + length, length, depth, unknown=vr == b"UN")
    elif tag in reader.wanted:
        if length > MAX_VALUE:
            raise DamagedError(f"{length} bytes in {_name(tag)}, which is a short value")
        into.values[tag] = _take(reader, here, length)
    reader.stream.seek(here + length)
    return tag


def _start(reader: _Reader) -> tuple[int, bytes, int]:
    """Read the tag, VR and length of an element."""
    head = reader.stream.read(8)
    if len(head) < 8:
        raise DamagedError(f"a file of {reader.size} bytes that ends early")
    group, number = struct.unpack(f"{reader.order}HH", head[:4])
    tag = group << 16 | number
    if not reader.explicit or group == 0xFFFE:
        return tag, b"", struct.unpack(f"{reader.order}I", head[4:])[0]
    vr = head[4:6]
    if vr not in LONG_VRS:
        return tag, vr, struct.unpack(f"{reader.order}H", head[6:])[0]
    return tag, vr, struct.unpack(f"{reader.order}I", _take(reader, reader.stream.tell(), 4))[0]


def _sequence(
    reader: _Reader, end: int, length: int | None, depth: int, unknown: bool
) -> list[Elements]:
    """Read the items of a sequence; without a length, up to its delimiter."""
    explicit = reader.explicit
    # A sequence of unknown VR is always written without VRs (PS3.5, 6.2.2).
    reader.explicit = explicit and not unknown
    items: list[Elements] = []
    while reader.stream.tell() < end:
        tag, _, size = _start(reader)
        if tag == SEQUENCE_END and length is None:
            reader.explicit = explicit
            return items
        here = reader.stream.tell()
        if tag != ITEM:
            raise DamagedError(f"{_name(tag)} where an item of a sequence should begin")
        if size != UNDEFINED and here + size > end:
            raise _beyond(tag, size, end - here)
        closed = size != UNDEFINED
        items.append(_data_set(reader, here + size if closed else end, depth + 1, closed))
    if length is None:
        raise DamagedError(f"a file of {reader.size} bytes that ends within a sequence")
    reader.explicit = explicit
    return items


def _plain(reader: _Reader, here: int, length: int) -> Pixels:
    """Find pixels that are not compressed."""
    if here + length > reader.size:
        raise _beyond(PIXELS, length, reader.size - here)
    return Pixels(here, length)


def _fragments(reader: _Reader) -> Pixels:
    """Find compressed pixels: a table of offsets, then fragments, then a delimiter."""
    pieces: list[tuple[int, int]] = []
    while True:
        tag, _, length = _start(reader)
        if tag == SEQUENCE_END:
            break
        here = reader.stream.tell()
        if tag != ITEM or here + length > reader.size:
            raise DamagedError(f"a file of {reader.size} bytes whose compressed pixels end early")
        pieces.append((here, length))
        reader.stream.seek(here + length)
    return Pixels(reader.stream.tell(), sum(length for _, length in pieces[1:]), tuple(pieces[1:]))


def _beyond(tag: int, length: int, left: int) -> DamagedError:
    """Say that an element claims more than there is."""
    return DamagedError(f"{_name(tag)} claiming {length} bytes where {max(left, 0)} are left")


def _name(tag: int) -> str:
    """Write a tag as the standard does.

    Example:
        >>> _name(0x7FE00010)
        'element (7FE0,0010)'
    """
    return f"element ({tag >> 16:04X},{tag & 0xFFFF:04X})"
