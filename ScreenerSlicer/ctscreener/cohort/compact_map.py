"""A map in a byte a voxel: rarity in steps of 0.05, in a file that every reader of NRRD opens.

Compressed it takes less than a tenth of the map of float32, whose last bits are noise.
"""

from pathlib import Path

import numpy as np

from ctscreener.files import read_labels
from ctscreener.maps import nrrd_header, zipped
from ctscreener.whole_file import whole_file

STEP = 0.05
"""Rarity from one value to the next."""
ERROR = STEP / 2
"""How far a kept rarity may be from the true one, up to `HIGHEST`."""
HIGHEST = 254 * STEP
"""Rarities beyond are kept as this; no scale goes so far."""
COMPRESSION = 6
NAME = "rarity.nrrd"


def write_compact(path: Path, rarity: np.ndarray, affine: np.ndarray) -> None:
    """Write a map of rarities.

    Arguments:
        path: The file, ending in `.nrrd`.
        rarity: `(D, H, W)`; NaN where not scored.
        affine: Voxel index to RAS mm, `(4, 4)`.

    Raises:
        InputError: One of `whole_file`.
    """
    notes = {"rarity": f"{STEP:g} * (value - 1), within {ERROR:g}", "not scored": "value 0"}
    with whole_file(path) as part, part.open("wb") as file:
        file.write(nrrd_header(rarity.shape, affine, "uint8", notes).encode("ascii"))
        for piece in zipped((pack(one) for one in rarity), COMPRESSION):
            file.write(piece)


def read_compact(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read a map back.

    Arguments:
        path: What `write_compact` wrote.

    Returns:
        Rarity, float32, `(D, H, W)`, NaN where not scored, within `ERROR`; and its affine.
    """
    values, affine = read_labels(path)
    return unpack(values), affine


def pack(rarity: np.ndarray) -> np.ndarray:
    """Turn rarities into steps, uint8 of the same shape; NaN becomes 0.

    Example:
        >>> pack(np.array([np.nan, 0.0, 3.01, 99.0])).tolist()
        [0, 1, 61, 255]
    """
    steps = np.rint(np.clip(np.nan_to_num(rarity, nan=-STEP), -STEP, HIGHEST) / STEP) + 1
    return steps.astype(np.uint8)


def unpack(steps: np.ndarray) -> np.ndarray:
    """Turn steps back into rarities, float32.

    Example:
        >>> unpack(np.array([0, 1, 61], np.uint8)).tolist()
        [nan, 0.0, 3.0]
    """
    rarity = (steps.astype(np.float32) - 1) * np.float32(STEP)
    rarity[steps == 0] = np.nan
    return rarity
