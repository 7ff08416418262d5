"""Pixels of DICOM slices in Hounsfield units, and what must hold before they are read.

Every length in the file was found to be true, and every size is found plausible, before a pixel is
read. Plain pixels are read here, compressed ones by `dicom_packed`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ctscreener.dicom_elements import DamagedError, Pixels, decimal
from ctscreener.dicom_packed import check_packed, unpack
from ctscreener.dicom_parser import NATIVE, data_set
from ctscreener.errors import InputError

GREY = ("MONOCHROME1", "MONOCHROME2")
# Scanners make at most 2048 rows.
MAX_SIDE = 4096
# What a compressed file may hold beside its picture, and a picture that does not get smaller.
BESIDE_BYTES = 1 << 26
# Larger factors make no Hounsfield units of any stored value.
MAX_SCALE = 1e6
UNITS = ("", "HU", "HU_MOD", "US")
"""Types of rescaling that give Hounsfield units; US, unspecified, is what some writers put."""


@dataclass(frozen=True)
class Coding:
    """How the pixels of a slice are stored, and what they mean.

    Arguments:
        size: Rows and columns.
        frames: Pictures in its file.
        samples: Values a pixel.
        photometric: `MONOCHROME2` and so on.
        allocated: Bits that a value takes up.
        stored: Bits of these that count.
        high: The highest of them.
        sign: 1 where that one is a sign, 0 where it is not.
        syntax: UID of the transfer syntax.
        order: `<` for little endian, `>` for big.
        pixels: Where they lie in the file.
        slope: RescaleSlope as written, empty where there is none.
        intercept: RescaleIntercept as written, likewise.
        units: RescaleType, likewise.
        table: Whether a table stands in place of slope and intercept.
    """

    size: tuple[int, int]
    frames: int
    samples: int
    photometric: str
    allocated: int
    stored: int
    high: int
    sign: int
    syntax: str
    order: str
    pixels: Pixels
    slope: str
    intercept: str
    units: str
    table: bool

    @property
    def compressed(self) -> bool:
        """Whether the pixels are compressed."""
        return self.syntax not in NATIVE or bool(self.pixels.fragments)

    @property
    def frame_bytes(self) -> int:
        """Bytes of one picture, unpacked."""
        return self.size[0] * self.size[1] * self.samples * self.allocated // 8

    def meaning(self) -> dict[str, object]:
        """Give what all slices of a volume must agree in, by a name for it."""
        return {
            "bits a pixel": (self.allocated, self.stored, self.high),
            "pixel representation": self.sign,
            "photometric interpretation": self.photometric,
            "rescale slope": _number(self.slope),
            "rescale intercept": _number(self.intercept),
            "rescale type": self.units,
        }


def check_coding(coding: Coding, path: Path) -> None:
    """Make sure that the pixels of a slice can be read, and are as many as promised.

    Arguments:
        coding: How they are stored.
        path: Their file.

    Raises:
        InputError: `dicom.truncated`, `dicom.pixels`, or `scan.not_scalar` for colours.
    """
    if coding.samples > 1 or coding.photometric not in ("", *GREY):
        raise InputError(
            "scan.not_scalar",
            f"Expected one value a pixel, found a picture in colour ({coding.photometric}) in "
            f"{path.name}.",
            "Choose the CT series, not a screenshot of it.",
        )
    problem = _layout_problem(coding) or rescale_problem(coding)
    if problem:
        raise bad_pixels(path.name, problem)
    promised = coding.frames * coding.frame_bytes
    found = coding.pixels.length
    if not coding.compressed and not promised <= found <= promised + 1:
        raise _cut(path, f"{found} bytes of pixels for the {promised} that its header tells of")
    if coding.compressed and len(coding.pixels.fragments) < coding.frames:
        raise _cut(path, f"{len(coding.pixels.fragments)} compressed pictures for {coding.frames}")
    if coding.compressed and path.stat().st_size > 2 * promised + BESIDE_BYTES:
        raise _cut(path, f"{path.stat().st_size} bytes for a picture of {promised}")


def rescale_problem(coding: Coding) -> str | None:
    """Say why stored values cannot be turned into Hounsfield units, if so.

    Arguments:
        coding: How they are stored.
    """
    if coding.table:
        return "a table of values in place of a rescale slope"
    if coding.units not in UNITS:
        return f"values in '{coding.units}', not in HU"
    scale = [_number(text) for text in (coding.slope, coding.intercept)]
    # NaN is not less than anything.
    if scale[0] == 0 or not all(number is None or abs(number) < MAX_SCALE for number in scale):
        return f"a rescale slope of '{coding.slope}' and intercept of '{coding.intercept}'"
    return None


def bad_pixels(name: str, problem: str) -> InputError:
    """Say why the pixels of a slice are of no use.

    Arguments:
        name: The file, and the frame.
        problem: What was found.
    """
    return InputError(
        "dicom.pixels",
        f"Expected pixels of a CT in {name}, found {problem}.",
        "Export the series again, or convert it with dcm2niix.",
    )


def read_frames(coding: Coding, path: Path, frames: list[int]) -> Iterator[np.ndarray]:
    """Read pictures of one file, rescaled.

    Arguments:
        coding: How they are stored, as `check_coding` has passed it; all share it.
        path: Their file.
        frames: Which of them, from 0.

    Yields:
        Hounsfield units, float32, `(H, W)`, in the order of `frames`.

    Raises:
        InputError: `dicom.truncated` where they cannot be read.
    """
    try:
        if coding.compressed:
            check_packed(path, coding.pixels, coding.syntax, coding.size)
            pictures = unpack(path, (coding.frames, *coding.size))
            yield from (pictures[frame].astype(np.float32) for frame in frames)
            return
        with data_set(path) as take:
            for frame in frames:
                start = coding.pixels.start + frame * coding.frame_bytes
                yield _rescaled(coding, _stored(coding, take(start, coding.frame_bytes)))
    except DamagedError as damage:
        raise _cut(path, str(damage)) from None


def _number(text: str) -> float | None:
    """Return a decimal number, None where there is none."""
    return decimal(text) if text else None


def _layout_problem(coding: Coding) -> str | None:
    """Say why pixels cannot be read, if so."""
    size = f"a size of {coding.size[0]} x {coding.size[1]}"
    bits = f"{coding.allocated} bits a pixel, {coding.stored} of them in use"
    unsaid = "no samples a pixel, photometric interpretation, bits or pixel representation"
    problems = {
        unsaid: not (coding.samples and coding.photometric and coding.allocated and coding.stored)
        or coding.sign not in (0, 1),
        size: min(coding.size) < 1 or max(coding.size) > MAX_SIDE,
        bits: coding.allocated not in (8, 16, 32)
        or not 1 <= coding.stored <= coding.high + 1 <= coding.allocated,
        # Bytes may or may not be swapped in pairs.
        f"{bits}, big endian": coding.order == ">" and coding.allocated == 8,
        # GDCM would turn light and dark, and values with them.
        "compressed pixels of MONOCHROME1": coding.compressed
        and coding.photometric == "MONOCHROME1",
    }
    return next((text for text, wrong in problems.items() if wrong), None)


def _stored(coding: Coding, raw: bytes) -> np.ndarray:
    """Turn the bytes of a plain picture into stored values, whole numbers, `(H, W)`."""
    kind = f"{coding.allocated // 8}"
    if coding.stored == coding.allocated:
        letter = "i" if coding.sign else "u"
        return np.frombuffer(raw, f"{coding.order}{letter}{kind}").reshape(coding.size)
    values = np.frombuffer(raw, f"{coding.order}u{kind}").astype(np.int64)
    # What lies above the highest bit is an overlay or left over, never part of the value.
    values >>= coding.high + 1 - coding.stored
    values &= (1 << coding.stored) - 1
    if coding.sign:
        sign = 1 << (coding.stored - 1)
        values = (values ^ sign) - sign
    return values.reshape(coding.size)


def _rescaled(coding: Coding, stored: np.ndarray) -> np.ndarray:
    """Turn stored values into Hounsfield units, float32."""
    slope, intercept = _number(coding.slope), _number(coding.intercept) or 0.0
    if slope in (None, 1.0) and intercept.is_integer() and coding.stored <= 16:
        # All in whole numbers that single precision holds, unless the intercept is absurd.
        return stored.astype(np.float32) + np.float32(intercept)
    # In double precision: a fractional slope is not to add its error to every value.
    return (stored * (1.0 if slope is None else slope) + intercept).astype(np.float32)


def _cut(path: Path, found: str) -> InputError:
    """Say that the pixels of a file are not what its header tells of."""
    return InputError(
        "dicom.truncated",
        f"Expected a whole CT slice in {path.name}, found {found}.",
        "Copy or download this file again.",
    )
