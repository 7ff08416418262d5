"""Elements of a DICOM data set: bytes by tag, and what they say."""

import re
import struct
from dataclasses import dataclass

import numpy as np

REAL = re.compile(r" *[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})? *")


class DamagedError(Exception):
    """A file that is no DICOM, ends early or contradicts itself; its text says what was found."""


@dataclass(frozen=True)
class Pixels:
    """Where the pixels of a file lie.

    Arguments:
        start: Their first byte, counted in the stream of the data set.
        length: How many bytes; with `fragments`, what all of these hold.
        fragments: First byte and length of each piece of a compressed picture; none of a plain one.
    """

    start: int
    length: int
    fragments: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class Elements:
    """The elements of interest of a data set, or of one item of a sequence.

    Arguments:
        values: Bytes by tag.
        items: Items by the tag of their sequence.
        order: `<` for little endian numbers, `>` for big.
        pixels: Where the pixels lie, if there are any.
    """

    values: dict[int, bytes]
    items: dict[int, list["Elements"]]
    order: str = "<"
    pixels: Pixels | None = None

    def text(self, tag: int) -> str:
        """Return the text of a tag, `?` for what is not plain; empty where there is none."""
        decoded = self.values.get(tag, b"").decode("latin-1").strip(" \0")
        return "".join(c if c.isascii() and c.isprintable() else "?" for c in decoded)

    def numbers(self, tag: int, count: int) -> np.ndarray:
        """Return `count` decimal numbers written as text, `(count,)`; NaN unless just so many."""
        numbers = [decimal(part) for part in self.text(tag).split("\\")]
        return np.array(numbers) if len(numbers) == count else np.full(count, np.nan)

    def whole(self, tag: int, missing: int) -> int:
        """Return a binary number of two or four bytes, or `missing` where there is none."""
        value = self.values.get(tag, b"")
        code = {2: "H", 4: "I"}.get(len(value))
        return struct.unpack(f"{self.order}{code}", value)[0] if code else missing

    def single(self, tag: int) -> float:
        """Return a binary number of single precision; NaN where there is none."""
        value = self.values.get(tag, b"")
        return struct.unpack(f"{self.order}f", value)[0] if len(value) == 4 else float("nan")


@dataclass(frozen=True)
class Header:
    """What precedes a data set, and its elements.

    Arguments:
        meta: The file meta information.
        syntax: UID of the transfer syntax.
        elements: The data set.
    """

    meta: Elements
    syntax: str
    elements: Elements


def decimal(text: str) -> float:
    """Read a number as DICOM writes it (DS); NaN for anything else.

    Example:
        >>> decimal(" -1024"), decimal("1_0")
        (-1024.0, nan)
    """
    return float(text) if REAL.fullmatch(text) else float("nan")
