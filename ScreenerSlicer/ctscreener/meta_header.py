"""The header of a MetaImage file (.mha, .mhd), read by ourselves.

ITK 5.4 ends the whole process at some values of NDims, makes up what the header lacks, and reads
`-11x.9` as -11. Format: MetaIO, https://itk.org/Wiki/MetaIO/Documentation.
"""

from collections.abc import Mapping, Sequence
from math import prod
from pathlib import Path

import numpy as np

from ctscreener.errors import InputError
from ctscreener.header_text import (
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
    Place,
    Stored,
    damaged,
    no_spacing,
    not_placed,
    not_scalar,
    volume_shape,
)

NUMBERS = {
    "MET_CHAR": "i1",
    "MET_UCHAR": "u1",
    "MET_SHORT": "i2",
    "MET_USHORT": "u2",
    "MET_INT": "i4",
    "MET_UINT": "u4",
    "MET_LONG": "i4",
    "MET_ULONG": "u4",
    "MET_LONG_LONG": "i8",
    "MET_ULONG_LONG": "u8",
    "MET_FLOAT": "f4",
    "MET_DOUBLE": "f8",
}
"""NumPy's names of the types; a long has four bytes in this format, whatever the machine."""

SYNONYMS = {
    "ElementByteOrderMSB": "BinaryDataByteOrderMSB",
    "Position": "Offset",
    "Origin": "Offset",
    "Rotation": "TransformMatrix",
    "Orientation": "TransformMatrix",
}
LAST = "ElementDataFile"
MAX_AXES = 10
# Directions are written with few digits in some files.
UNIT = 1e-3

Fields = Mapping[str, str]


def read_meta(path: Path) -> Stored:
    """Read what a MetaImage file says of its voxels.

    Arguments:
        path: An `.mha` or `.mhd` file.

    Returns:
        The image that it describes; its data files exist.

    Raises:
        InputError: One of `scan.*`, see `read_scan`.
    """
    name = path.name
    fields, start, listed = _fields(path)
    if fields.get("ObjectType", "Image") != "Image":
        raise damaged(name, "an image", f"an object of type {quoted(fields['ObjectType'])}")
    axes = one_whole(_needed(fields, "NDims", name), "NDims", name, 1, MAX_AXES)
    sizes = whole_numbers(_needed(fields, "DimSize", name), "DimSize", name)
    if len(sizes) != axes:
        raise damaged(name, f"{axes} numbers as 'DimSize'", quoted(fields["DimSize"]))
    shape = volume_shape(sizes, name)
    return Stored(
        name=name,
        shape=shape,
        number=_number(fields, name),
        affine=_affine(fields, axes, name),
        place=_place(fields, path, sizes, start, listed),
    )


def _fields(path: Path) -> tuple[Fields, int, list[str]]:
    """Split a header: its fields, the byte after it, and the lines after a list of files."""
    head = read_head(path)
    fields: dict[str, str] = {}
    at = 0
    while at < len(head) and LAST not in fields:
        end = head.find(b"\n", at)
        end = len(head) if end < 0 else end
        line = as_text(head[at:end], path.name)
        at = end + 1
        if not line.strip():
            continue
        key, sign, value = (part.strip() for part in line.partition("="))
        if not sign:
            raise damaged(path.name, "lines 'Key = Value' at its start", quoted(line))
        key = SYNONYMS.get(key, key)
        if key in fields and fields[key] != value:
            raise damaged(path.name, f"one value of '{key}'", "two that differ")
        fields[key] = value
    if LAST not in fields:
        raise damaged(path.name, f"a MetaImage header with the field '{LAST}'", "none")
    listed = []
    if fields[LAST].split()[:1] == ["LIST"]:
        listed = [line.strip() for line in as_text(head[at:], path.name).split("\n")]
    return fields, at, [line for line in listed if line]


def _needed(fields: Fields, key: str, name: str) -> str:
    """Return a field that every file must have."""
    if key not in fields:
        raise damaged(name, f"the field '{key}'", "none")
    return fields[key]


def _flag(fields: Fields, key: str, name: str, missing: str | None = None) -> bool:
    """Read a field that is true or false."""
    value = fields.get(key, missing) if missing is not None else _needed(fields, key, name)
    assert value is not None, "either found or given"
    if value.lower() not in ("true", "t", "1", "false", "f", "0"):
        raise damaged(name, f"True or False as '{key}'", quoted(value))
    return value.lower() in ("true", "t", "1")


def _number(fields: Fields, name: str) -> np.dtype:
    """Read the type of the voxels."""
    channels = fields.get("ElementNumberOfChannels", "1")
    if one_whole(channels, "ElementNumberOfChannels", name, 1, 1 << 20) != 1:
        raise not_scalar(name, f"{channels} channels")
    kind = _needed(fields, "ElementType", name)
    if kind not in NUMBERS:
        raise damaged(name, "a number type such as MET_SHORT as 'ElementType'", quoted(kind))
    for key, neutral in (
        ("ElementToIntensityFunctionSlope", 1.0),
        ("ElementToIntensityFunctionOffset", 0.0),
    ):
        if key in fields and real_numbers(fields[key], key, name, 1) != [neutral]:
            raise damaged(
                name,
                f"{neutral:g} as '{key}', since readers differ in what they make of it",
                quoted(fields[key]),
            )
    # Nearly every file says which; with the wrong one no scan would pass for Hounsfield units.
    big = _flag(fields, "BinaryDataByteOrderMSB", name, "False")
    return np.dtype((">" if big else "<") + NUMBERS[kind])


def _affine(fields: Fields, axes: int, name: str) -> np.ndarray:
    """Read where the voxels lie; nothing that is missing is made up."""
    if "ElementSpacing" not in fields:
        raise no_spacing(name, "no field 'ElementSpacing'")
    for key in ("TransformMatrix", "Offset"):
        if key not in fields:
            raise not_placed(name, f"no field '{key}'")
    units = fields.get("DistanceUnits", "mm")
    if units not in ("mm", "?"):
        raise InputError(
            "scan.spacing",
            f"Expected lengths in mm, found 'DistanceUnits' {quoted(units)} in {name}; 3D Slicer "
            "takes them for mm.",
            "Save the scan in mm.",
        )
    spacing = np.array(real_numbers(fields["ElementSpacing"], "ElementSpacing", name, axes))[:3]
    if not (spacing > 0).all():
        raise no_spacing(name, quoted(fields["ElementSpacing"]))
    matrix = real_numbers(fields["TransformMatrix"], "TransformMatrix", name, axes * axes)
    # A row of the matrix is the direction of one axis.
    directions = np.array(matrix).reshape(axes, axes)[:3, :3].T
    if np.abs(np.linalg.norm(directions, axis=0) - 1).max() > UNIT:
        raise not_placed(name, "axes in 'TransformMatrix' that are not of length 1")
    affine = np.eye(4)
    affine[:3, :3] = directions * spacing
    affine[:3, 3] = real_numbers(fields["Offset"], "Offset", name, axes)[:3]
    return in_array_order(LPS @ affine)


def _place(
    fields: Fields, path: Path, sizes: Sequence[int], start: int, listed: Sequence[str]
) -> Place:
    """Find the voxels: after the header, in another file, or in several."""
    name = path.name
    if not _flag(fields, "BinaryData", name):
        raise damaged(name, "binary voxels", "'BinaryData = False' (text is not read)")
    packed = _flag(fields, "CompressedData", name, "False")
    offset = one_whole(fields.get("HeaderSize", "0"), "HeaderSize", name, -1, 1 << 40)
    words = fields[LAST].split()
    if words in (["LOCAL"], ["local"], ["Local"]):
        if offset:
            raise damaged(name, "voxels right after the header", "a 'HeaderSize' too")
        parts = (path,)
    else:
        start = max(offset, 0)
        parts = data_files(_names(fields[LAST], words, sizes, listed, name), path)
    if not packed:
        return Place(parts, start, at_end=offset < 0)
    if len(parts) > 1 or offset < 0:
        raise damaged(name, "compressed voxels in one file", "several, or an offset of -1")
    size = one_whole(fields.get("CompressedDataSize", "0"), "CompressedDataSize", name, 0, 1 << 40)
    return Place(parts, start, packing="zlib", packed_bytes=size or None)


def _names(
    value: str, words: Sequence[str], sizes: Sequence[int], listed: Sequence[str], name: str
) -> list[str]:
    """Name the data files, and make sure that there are as many as slices."""
    if words[:1] == ["LIST"]:
        below = one_whole(words[1], LAST, name, 1, len(sizes)) if words[1:] else len(sizes) - 1
        names = list(listed)
    elif "%" in value:
        below = len(sizes) - 1
        names = numbered_files(words, name)
    else:
        return [value]
    if len(names) != prod(sizes[below:]):
        raise damaged(name, f"{prod(sizes[below:])} data files", str(len(names)))
    return names
