"""The header of an NRRD file (.nrrd, .nhdr), read by ourselves.

ITK 5.4 ends the whole process at a long line, and makes up what the header lacks. Format:
http://teem.sourceforge.net/nrrd/format.html.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np

from ctscreener.errors import InputError
from ctscreener.header_text import (
    HEADER_BYTES,
    as_text,
    data_files,
    numbered_files,
    one_whole,
    quoted,
    read_head,
    real_numbers,
    whole_numbers,
)
from ctscreener.itk import LPS, in_array_order
from ctscreener.stored import (
    Packing,
    Place,
    Stored,
    damaged,
    not_placed,
    not_scalar,
    volume_shape,
)

MAGIC = tuple(f"NRRD000{version}" for version in range(1, 6))
NUMBERS = {
    "i1": "signed char|int8|int8_t",
    "u1": "uchar|unsigned char|uint8|uint8_t",
    "i2": "short|short int|signed short|signed short int|int16|int16_t",
    "u2": "ushort|unsigned short|unsigned short int|uint16|uint16_t",
    "i4": "int|signed int|int32|int32_t",
    "u4": "uint|unsigned int|uint32|uint32_t",
    "i8": "longlong|long long|long long int|signed long long|signed long long int|int64|int64_t",
    "u8": "ulonglong|unsigned long long|unsigned long long int|uint64|uint64_t",
    "f4": "float",
    "f8": "double",
}
TYPES = {word: number for number, words in NUMBERS.items() for word in words.split("|")}
PACKINGS: dict[str, Packing] = {"raw": "raw", "gzip": "gzip", "gz": "gzip"}
SPACES = {
    "right-anterior-superior": np.eye(4),
    "ras": np.eye(4),
    "left-anterior-superior": np.diag([-1.0, 1.0, 1.0, 1.0]),
    "las": np.diag([-1.0, 1.0, 1.0, 1.0]),
    "left-posterior-superior": LPS,
    "lps": LPS,
}
"""From the space of the header to RAS."""
SCALAR_KINDS = ("domain", "space", "time", "list", "stub", "scalar", "none", "???", "")
MILLIMETRES = ("mm", "millimeter", "millimeters", "millimetre", "millimetres", "", "???")
SYNONYMS = {
    "datafile": "data file",
    "byteskip": "byte skip",
    "lineskip": "line skip",
    "centerings": "centers",
    "axismins": "axis mins",
    "axismaxs": "axis maxs",
    "blocksize": "block size",
    "oldmin": "old min",
    "oldmax": "old max",
    "sampleunits": "sample units",
}
KNOWN = {
    "type",
    "dimension",
    "sizes",
    "encoding",
    "endian",
    "space",
    "space dimension",
    "space directions",
    "space origin",
    "space units",
    "spacings",
    "thicknesses",
    "measurement frame",
    "kinds",
    "labels",
    "units",
    "min",
    "max",
    "number",
    "content",
    *SYNONYMS.values(),
}
DATA = "data file"
MAX_AXES = 16
NONE = "none"
VECTOR = re.compile(r"\(([^()]*)\)|\b(none)\b", re.IGNORECASE)

Fields = Mapping[str, str]


@dataclass(frozen=True)
class _Axis:
    """One axis of the array: its size, what it is, and its direction as the header writes it."""

    size: int
    kind: str
    direction: str


def read_nrrd(path: Path) -> Stored:
    """Read what an NRRD file says of its voxels.

    Arguments:
        path: An `.nrrd` or `.nhdr` file.

    Returns:
        The image that it describes; its data files exist.

    Raises:
        InputError: One of `scan.*`, see `read_scan`.
    """
    name = path.name
    fields, start, listed = _fields(path)
    axes = [axis for axis in _axes(fields, name) if (axis.size, axis.direction) != (1, NONE)]
    for axis in axes:
        if axis.size > 1 and axis.kind not in SCALAR_KINDS:
            raise not_scalar(name, f"{axis.size} of kind {quoted(axis.kind)}")
    shape = volume_shape([axis.size for axis in axes], name)
    return Stored(
        name=name,
        shape=shape,
        number=_number(fields, name),
        affine=_affine(fields, axes[:3], name),
        place=_place(fields, path, start, listed),
    )


def _fields(path: Path) -> tuple[Fields, int, list[str]]:
    """Split a header: its fields, the byte after it, and the lines after a list of files."""
    name = path.name
    head = read_head(path)
    if not head.startswith(tuple(magic.encode() for magic in MAGIC)):
        raise damaged(name, f"an NRRD header that begins with {MAGIC[0]} to {MAGIC[-1]}", "none")
    at, fields = 0, dict[str, str]()
    while at < len(head) and fields.get(DATA, "").split()[:1] != ["LIST"]:
        end = head.find(b"\n", at)
        end = len(head) if end < 0 else end
        line = as_text(head[at:end], name).strip()
        begin, at = at, end + 1
        if not line:
            return fields, at, []
        if begin and not line.startswith("#"):
            _take(line, fields, name)
    if len(head) >= HEADER_BYTES:
        raise damaged(name, f"a header of less than {HEADER_BYTES} bytes", "no end of it")
    if DATA not in fields:
        raise damaged(name, "voxels after the header, or the name of their file", "neither")
    listed = [line.strip() for line in as_text(head[at:], name).split("\n")]
    return fields, at, [line for line in listed if line]


def _take(line: str, fields: dict[str, str], name: str) -> None:
    """Take one line of a header: a field, or a pair that says nothing of the voxels."""
    if ":=" in line and ": " not in line.split(":=", 1)[0]:
        return
    key, colon, value = line.partition(":")
    key = key.strip().lower()
    key = SYNONYMS.get(key, key)
    if not colon or key not in KNOWN:
        raise damaged(name, "the fields of an NRRD header", quoted(line))
    if key in fields:
        raise damaged(name, f"the field '{key}' once", "it twice")
    fields[key] = value.strip()


def _needed(fields: Fields, key: str, name: str) -> str:
    """Return a field that every file must have."""
    if key not in fields:
        raise damaged(name, f"the field '{key}'", "none")
    return fields[key]


def _axes(fields: Fields, name: str) -> list[_Axis]:
    """Read sizes, kinds and directions of all axes."""
    count = one_whole(_needed(fields, "dimension", name), "dimension", name, 1, MAX_AXES)
    sizes = whole_numbers(_needed(fields, "sizes", name), "sizes", name)
    kinds = [kind.lower() for kind in fields.get("kinds", "").split()] or [""] * count
    directions = _vectors(fields, "space directions", name) or [""] * count
    for key, found in (("sizes", sizes), ("kinds", kinds), ("space directions", directions)):
        if len(found) != count:
            raise damaged(name, f"{count} values as '{key}'", str(len(found)))
    return [_Axis(*each) for each in zip(sizes, kinds, directions, strict=True)]


def _vectors(fields: Fields, key: str, name: str) -> list[str]:
    """Split a field of vectors: the numbers of each, or `none`; empty where it is missing."""
    text = fields.get(key, "")
    if VECTOR.sub("", text).strip():
        raise damaged(name, f"vectors such as (1,0,0) as '{key}'", quoted(text))
    return [none.lower() or numbers.replace(",", " ") for numbers, none in VECTOR.findall(text)]


def _number(fields: Fields, name: str) -> np.dtype:
    """Read the type of the voxels."""
    kind = _needed(fields, "type", name).lower()
    if kind not in TYPES:
        raise damaged(name, "a number type such as short as 'type'", quoted(kind))
    number = np.dtype(TYPES[kind])
    if number.itemsize == 1:
        return number
    endian = _needed(fields, "endian", name).lower()
    if endian not in ("little", "big"):
        raise damaged(name, "little or big as 'endian'", quoted(endian))
    return number.newbyteorder("<" if endian == "little" else ">")


def _affine(fields: Fields, axes: list[_Axis], name: str) -> np.ndarray:
    """Read where the voxels lie; nothing that is missing is made up."""
    space = fields.get("space", "").lower()
    if space not in SPACES:
        raise not_placed(name, f"the space {quoted(space)}" if space else "no field 'space'")
    for key in ("space directions", "space origin"):
        if key not in fields:
            raise not_placed(name, f"no field '{key}'")
    units = [unit.strip() for unit in fields.get("space units", "").replace('"', " ").split()]
    if other := [unit for unit in units if unit.lower() not in MILLIMETRES]:
        raise InputError(
            "scan.spacing",
            f"Expected lengths in mm, found 'space units' {quoted(other[0])} in {name}; 3D Slicer "
            "takes them for mm.",
            "Save the scan in mm.",
        )
    origin = _vectors(fields, "space origin", name)
    if len(origin) != 1 or NONE in (origin[0], *(axis.direction for axis in axes)):
        raise not_placed(name, "an axis or an origin of 'none'")
    affine = np.eye(4)
    for column, axis in enumerate(axes):
        affine[:3, column] = real_numbers(axis.direction, "space directions", name, 3)
    affine[:3, 3] = real_numbers(origin[0], "space origin", name, 3)
    return in_array_order(SPACES[space] @ affine)


def _place(fields: Fields, path: Path, start: int, listed: list[str]) -> Place:
    """Find the voxels: after the header, in another file, or in several."""
    name = path.name
    encoding = _needed(fields, "encoding", name).lower()
    if encoding not in PACKINGS:
        raise damaged(name, "the encoding raw or gzip", quoted(encoding))
    lines = one_whole(fields.get("line skip", "0"), "line skip", name, 0, 1 << 20)
    skipped = one_whole(fields.get("byte skip", "0"), "byte skip", name, -1, 1 << 28)
    packing = PACKINGS[encoding]
    if skipped < 0 and (packing != "raw" or lines):
        raise damaged(name, "voxels that are not packed with a 'byte skip' of -1", "others")
    parts = (path,)
    if DATA in fields:
        start, parts = 0, data_files(_names(fields, listed, name), path)
    if skipped < 0:
        return Place(parts, start, at_end=True)
    return Place(parts, start, lines, packing, skipped)


def _names(fields: Fields, listed: list[str], name: str) -> list[str]:
    """Name the data files, and make sure that there are as many as slices."""
    words = fields[DATA].split()
    sizes = whole_numbers(fields["sizes"], "sizes", name)
    if words[:1] == ["LIST"]:
        names, words = listed, words[:2]
    elif "%" in fields[DATA] and len(words) > 1:
        names, words = numbered_files(words[:4], name), words[3:]
    else:
        return [fields[DATA]]
    below = len(sizes) - 1
    if words[1:]:
        below = one_whole(words[1], "data file", name, 1, len(sizes))
    if len(names) != prod(sizes[below:]):
        raise damaged(name, f"{prod(sizes[below:])} data files", str(len(names)))
    return names
