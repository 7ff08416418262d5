"""The colour map orders rarities by eye, red-green blind eyes too, and stands out from grey."""

import numpy as np
import pytest
from skimage.color import rgb2lab

from ctscreener.colours import HIGHEST, LOWEST, colour_table, rarity_to_rgba

RARITIES = np.linspace(LOWEST + 0.01, HIGHEST, 200)
# Vienot, Brettel and Mollon 1999: linear RGB as a dichromat sees it.
DICHROMATS = {
    "none": np.eye(3),
    "protan": np.array([[0.11238, 0.88762, 0], [0.11238, 0.88762, 0], [0.00401, -0.00401, 1]]),
    "deutan": np.array([[0.29275, 0.70725, 0], [0.29275, 0.70725, 0], [-0.02234, 0.02234, 1]]),
}


@pytest.mark.parametrize("eyes", DICHROMATS)
def test_rarer_is_darker_in_even_steps_for_all_eyes(eyes: str) -> None:
    rgb = rarity_to_rgba(RARITIES)[:, :3] / 255
    linear = np.where(rgb > 0.04045, ((rgb + 0.055) / 1.055) ** 2.4, rgb / 12.92)
    seen = np.clip(linear @ DICHROMATS[eyes].T, 0, 1)
    lightness = rgb2lab(
        np.where(seen > 0.0031308, 1.055 * seen ** (1 / 2.4) - 0.055, seen * 12.92)
    )
    steps = np.diff(lightness[[0, 40, 80, 120, 160, 199], 0])
    assert np.all(steps < -3)


def test_every_colour_stands_out_from_every_grey() -> None:
    lab = rgb2lab(rarity_to_rgba(RARITIES)[:, :3] / 255)
    assert np.hypot(lab[:, 1], lab[:, 2]).min() > 40


def test_common_and_unscored_voxels_are_invisible_and_rarer_ones_ever_less_so() -> None:
    assert not rarity_to_rgba(np.array([0, 1, LOWEST, -1, np.nan, -np.inf])).any()
    opacity = rarity_to_rgba(RARITIES)[:, 3].astype(int)
    assert np.all(np.diff(opacity) >= 0)
    assert opacity[-1] > 200
    assert np.array_equal(rarity_to_rgba(np.array([50, np.inf])), rarity_to_rgba(np.full(2, 6.0)))


def test_the_table_is_the_map() -> None:
    table = colour_table(601)
    assert table.shape == (601, 4)
    assert np.array_equal(table[350], rarity_to_rgba(np.array(3.5)))
