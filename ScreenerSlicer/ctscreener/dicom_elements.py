"""Elements of a DICOM data set: bytes by tag, and what they say."""

import struct
from dataclasses import dataclass

import numpy as np


class DamagedError(Exception):
    """A file that is no DICOM, ends early or contradicts itself; its text says what was found."""


@dataclass(frozen=True)
class Pixels:
    """Where the pixels of a file lie.

    Arguments:
        start: Their first byte, counted in the stream of the data set.
        length: How many bytes; with `fragments`, what all of these hold.
        fragments: Length of each piece of a compressed picture; none of a plain one.
    """

    start: int
    length: int
    fragments: tuple[int, ...] = ()


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
        """Return the text of a tag, printable characters only; empty where there is none."""
        decoded = self.values.get(tag, b"").decode("latin-1").strip(" \0")
        return "".join(letter for letter in decoded if letter.isascii() and letter.isprintable())

    def numbers(self, tag: int, count: int) -> np.ndarray:
        """Return `count` decimal numbers written as text, `(count,)`; NaN unless just so many."""
        try:
            numbers = np.array([float(part) for part in self.text(tag).split("\\")])
        except ValueError:
            numbers = np.empty(0)
        return numbers if len(numbers) == count else np.full(count, np.nan)

    def whole(self, tag: int, missing: int) -> int:
        """Return a binary number of two or four bytes, or `missing` where there is none."""
        value = self.values.get(tag, b"")
        code = {2: "H", 4: "I"}.get(len(value))
        return struct.unpack(f"{self.order}{code}", value)[0] if code else missing


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
