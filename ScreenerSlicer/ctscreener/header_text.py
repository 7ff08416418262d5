"""The text at the head of an NRRD or MetaImage file: bounded, and its numbers read strictly."""

import math
import os
import re
from collections.abc import Sequence
from pathlib import Path

from ctscreener.errors import InputError
from ctscreener.stored import damaged

HEADER_BYTES = 1 << 20
"""Headers of real scans, DICOM tags copied into them included, have less than a tenth of it."""
MAX_PARTS = 10_000
MAX_QUOTED = 40
WHOLE = re.compile(r"[+-]?[0-9]{1,18}")
REAL = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,4})?")
PATTERN = re.compile(r"[^%]*%(0?[0-9]{0,2})d[^%]*")


def read_head(path: Path) -> bytes:
    """Read as much of a file as a header may take.

    Arguments:
        path: A file.

    Returns:
        Its first bytes, `HEADER_BYTES` at most.
    """
    with path.open("rb") as file:
        return file.read(HEADER_BYTES)


def as_text(head: bytes, name: str) -> str:
    """Decode a header; names of files in it may be of any encoding.

    Arguments:
        head: The bytes of the header, without the data that may follow it.
        name: Name of the file.

    Raises:
        InputError: `scan.unreadable` for bytes that no text has.
    """
    if b"\0" in head:
        raise damaged(name, "a header of text", "bytes that are no text")
    return os.fsdecode(head).replace("\r\n", "\n")


def whole_numbers(text: str, field: str, name: str) -> list[int]:
    """Read the whole numbers of a field.

    Arguments:
        text: Numbers with spaces between them.
        field: Name of the field.
        name: Name of the file.

    Raises:
        InputError: `scan.unreadable` for anything else.
    """
    words = text.split()
    if not words or not all(WHOLE.fullmatch(word) for word in words):
        raise damaged(name, f"whole numbers as '{field}'", quoted(text))
    return [int(word) for word in words]


def one_whole(text: str, field: str, name: str, low: int, high: int) -> int:
    """Read a field of one whole number within bounds.

    Arguments:
        text: The number.
        field: Name of the field.
        name: Name of the file.
        low: Lowest number allowed.
        high: Highest number allowed.

    Raises:
        InputError: `scan.unreadable` for anything else.
    """
    numbers = whole_numbers(text, field, name)
    if len(numbers) != 1 or not low <= numbers[0] <= high:
        raise damaged(name, f"one number from {low} to {high} as '{field}'", quoted(text))
    return numbers[0]


def real_numbers(text: str, field: str, name: str, count: int) -> list[float]:
    """Read the numbers of a field.

    Arguments:
        text: Numbers with spaces between them.
        field: Name of the field.
        name: Name of the file.
        count: How many there must be.

    Raises:
        InputError: `scan.unreadable` for anything else.
    """
    words = text.split()
    read = [float(word) for word in words if REAL.fullmatch(word)]
    if len(words) != count or len(read) != count or not all(map(math.isfinite, read)):
        raise damaged(name, f"{count} numbers as '{field}'", quoted(text))
    return read


def numbered_files(words: Sequence[str], name: str) -> list[str]:
    """Write out the names that a pattern such as `slice%03d.raw 1 40 1` stands for.

    Arguments:
        words: The pattern, the first and the last number, and the step (1 by default).
        name: Name of the file.

    Raises:
        InputError: `scan.unreadable` for anything else.
    """
    pattern = words[0]
    numbers = whole_numbers(" ".join(words[1:]), "number of a data file", name)
    first, last, step = (*numbers, 1)[:3] if len(numbers) in (2, 3) else (0, 0, 0)
    fits = PATTERN.fullmatch(pattern)
    if not fits or step == 0 or not 0 <= (last - first) // step < MAX_PARTS:
        raise damaged(
            name, "a pattern of data files such as 'slice%03d.raw 1 40 1'", quoted(" ".join(words))
        )
    return [pattern % number for number in range(first, last + (1 if step > 0 else -1), step)]


def data_files(names: Sequence[str], header: Path) -> tuple[Path, ...]:
    """Find the data files that a header names, beside it.

    Arguments:
        names: As the header has them.
        header: The header file.

    Raises:
        InputError: `scan.data_missing` when one is not there, `scan.unreadable` when there is
            no name or there are too many.
    """
    if not names or not all(names):
        raise damaged(header.name, "the name of its data file", "none")
    if len(names) > MAX_PARTS:
        raise damaged(header.name, f"at most {MAX_PARTS} data files", str(len(names)))
    files = tuple(header.parent / name for name in names)
    for file in files:
        if not is_regular(file):
            raise InputError(
                "scan.data_missing",
                f"Expected the voxels of {header.name} in {quoted(file.name, 200)} beside it, "
                "found no such file.",
                "Copy the data file too, under the name that the header tells.",
            )
    return files


def is_regular(path: Path) -> bool:
    """Tell whether a path is a file with contents: no folder, no pipe, no device."""
    try:
        return path.is_file()
    except OSError:
        # A name that is too long for this disk, for example.
        return False


def quoted(text: str, length: int = MAX_QUOTED) -> str:
    """Quote a piece of a header within an error: short, and free of control characters."""
    clean = "".join(letter if letter.isprintable() else "?" for letter in " ".join(text.split()))
    return f"'{clean[:length]}...'" if len(clean) > length else f"'{clean}'"
