"""Tests of the kidneys' finder: made-up trunks, phantoms with their kidneys and without, patients."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ctscreener.errors import InputError
from ctscreener.files import read_scan
from ctscreener.scan import reoriented_to_canonical
from training.inserted.ellipsoid import INSIDE, Ellipsoid, fitted
from training.inserted.kidneys import find_kidneys
from training.inserted.overview import Overview, dilated, overview
from training.phantoms.organs import KIDNEY
from training.phantoms.phantom import make_phantom

Put = Callable[[np.ndarray, float], None]


def trunk(
    kidney_mm: tuple[float, float, float],
    kidney_hu: float,
    aside: float,
    heights: tuple[float | None, float | None] = (0.0, 0.0),
    more: Callable[[Put, np.ndarray, np.ndarray, np.ndarray], None] | None = None,
) -> Overview:
    """A body of fat with a spine, muscles behind it, and two ellipsoids beside it."""
    z, y, x = np.ogrid[-150:150:3.0, -110:110:3.0, -160:160:3.0]
    body = (y / 100) ** 2 + (x / 150) ** 2 < 1
    hu = np.where(body, -100.0, -1000.0) + 0 * z
    shape = hu.shape
    put = lambda where, value: hu.__setitem__(np.broadcast_to(where, shape), value)
    put(((np.abs(x) - 32) / 26) ** 2 + ((y - 72) / 18) ** 2 < 1, 55.0)
    put((x / 20) ** 2 + ((y - 38) / 18) ** 2 < 1, 350.0)
    for side, height in zip((-1, 1), heights, strict=True):
        if height is not None:
            d = zip((z - height, y - 25, x - side * aside), kidney_mm, strict=True)
            put(sum((c / r) ** 2 for c, r in d) < 1, kidney_hu)
    if more is not None:
        more(put, z, y, x)
    inside = np.broadcast_to(body, shape).copy()
    noise = np.random.default_rng(0).normal(0, 6, shape)
    return Overview((hu + noise).astype(np.float32), inside, np.full(3, 3.0), (1, 1, 1))


SIZE = (52.0, 25.0, 28.0)


@pytest.mark.parametrize("hu", [32.0, 170.0])
def test_two_ellipsoids_in_fat_beside_the_spine_are_kidneys(hu: float) -> None:
    view = trunk(SIZE, hu, 58.0)
    organ = find_kidneys(view)
    true = np.abs(view.hu - hu) < 24
    assert true[organ.mask].mean() > 0.97
    assert abs(organ.hu - hu) < 12


@pytest.mark.parametrize(
    ("size", "hu", "aside"),
    [
        ((400.0, 25.0, 25.0), 35.0, 50.0),  # goes on above and below, as a psoas does
        ((400.0, 25.0, 25.0), 55.0, 50.0),  # and as dense as the muscles
        ((16.0, 15.0, 15.0), 35.0, 58.0),  # too small
        (SIZE, 35.0, 118.0),  # too far from the spine
    ],
)
def test_what_is_not_like_a_kidney_is_none(
    size: tuple[float, float, float], hu: float, aside: float
) -> None:
    with pytest.raises(InputError, match="kidney"):
        find_kidneys(trunk(size, hu, aside))


@pytest.mark.parametrize("heights", [(None, 0.0), (0.0, None), (-45.0, 45.0)])
def test_one_kidney_or_two_far_apart_are_not_trusted(
    heights: tuple[float | None, float | None],
) -> None:
    with pytest.raises(InputError, match="kidney"):
        find_kidneys(trunk(SIZE, 32.0, 58.0, heights))


def test_a_kidney_beside_the_liver_with_fat_in_its_sinus_is_found_without_either() -> None:
    def liver_and_sinus(put: Put, z: np.ndarray, y: np.ndarray, x: np.ndarray) -> None:
        # The liver touches all of one side of the right kidney.
        right = ((z / 52) ** 2 + ((y - 25) / 25) ** 2 + ((x + 58) / 28) ** 2) < 1
        liver = (z > 0) & (x < -62) & (y < 40) & ((y / 92) ** 2 + (x / 140) ** 2 < 1)
        put(liver & ~right, 58.0)
        for side in (-1, 1):
            hilum = (z / 20) ** 2 + ((y - 17) / 11) ** 2 + ((x - side * 46) / 16) ** 2
            put(hilum < 1, -100.0)

    view = trunk(SIZE, 30.0, 58.0, more=liver_and_sinus)
    mask = find_kidneys(view).mask
    z, y, x = np.ogrid[-150:150:3.0, -110:110:3.0, -160:160:3.0]
    true = (z / 52) ** 2 + ((y - 25) / 25) ** 2 + ((np.abs(x) - 58) / 28) ** 2 < 1
    tissue = true & (view.hu > 0)
    assert true[mask].mean() > 0.93
    assert mask[tissue].mean() > 0.8


def without(view: Overview, organ: np.ndarray) -> Overview:
    """The same body with fat in place of an organ."""
    gone = dilated(organ, view.spacing, 7.0) & (view.hu > -30) & (view.hu < 400)
    fat = np.random.default_rng(0).normal(-100, 12, view.hu.shape)
    return replace(view, hu=np.where(gone, fat, view.hu).astype(np.float32))


def body_and_kidneys(seed: int) -> tuple[Overview, np.ndarray]:
    """A phantom from afar, and the share of kidney in each of its blocks."""
    phantom = make_phantom(np.random.default_rng([77, seed]), "abdomen", "none", 0, 1.5)
    organ = replace(phantom.scan, hu=(phantom.organ == KIDNEY).astype(np.float32))
    view = overview(reoriented_to_canonical(phantom.scan))
    d, h, w = view.hu.shape
    a, b, c = view.block
    blocks = reoriented_to_canonical(organ).hu[: d * a, : h * b, : w * c]
    return view, blocks.reshape(d, a, h, b, w, c).mean((1, 3, 5))


@pytest.mark.parametrize("seed", [5, 8])
def test_kidneys_of_a_phantom_are_found_and_nothing_else_once_they_are_gone(seed: int) -> None:
    view, true = body_and_kidneys(seed)
    mask = find_kidneys(view).mask
    assert (true[mask] > 0.2).mean() > 0.95
    assert mask[true > 0.8].mean() > 0.85
    with pytest.raises(InputError, match="kidney"):
        find_kidneys(without(view, true > 0.3))


def test_two_muscles_that_mirror_each_other_are_no_kidneys() -> None:
    view, true = body_and_kidneys(4)
    with pytest.raises(InputError, match="mirror each other"):
        find_kidneys(without(view, true > 0.3))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["matrad_liver", "acrin_lower", "ts_example", "tcga_de_a4ma"])
def test_kidneys_of_patients_are_found_and_nothing_else_once_they_are_gone(
    name: str, real_scans: Path
) -> None:
    path = real_scans / f"{name}.nii.gz"
    if not path.is_file():
        pytest.skip(f"no {name}.nii.gz in SCREENER_SCANS")
    view = overview(reoriented_to_canonical(read_scan(path)))
    organ = find_kidneys(view)
    columns = np.arange(view.hu.shape[2])
    for side in (columns < view.midline, columns >= view.midline):
        assert 45 < (organ.mask & side).sum() * view.voxel_ml < 330
    with pytest.raises(InputError, match="kidney"):
        find_kidneys(without(view, organ.mask))


@pytest.mark.parametrize("turn", [(0.0, 0.0, 0.0), (0.3, -0.2, 0.1)])
def test_a_fit_finds_the_ellipsoid_that_a_volume_shows(turn: tuple[float, ...]) -> None:
    spacing = np.array([3.0, 2.0, 2.5])
    true = Ellipsoid(np.array([90.0, 80.0, 75.0, *np.log([50.0, 20.0, 28.0]), *turn]))
    whole = slice(0, 60), slice(0, 80), slice(0, 60)
    volume = true.mask(whole, spacing, 0.0).astype(np.float32)
    start = Ellipsoid(true.values + [9, -6, 7, 0.1, 0.2, -0.1, 0, 0, 0])

    def cost(one: Ellipsoid) -> float:
        (values,) = one.sample((volume,), spacing)
        return float(values[INSIDE:].mean() - values[:INSIDE].mean())

    found = fitted(start, cost, 600)
    assert np.abs(found.middle - true.middle).max() < 3
    both = found.mask(whole, spacing, 0.0) & (volume > 0)
    assert 2 * both.sum() / (found.mask(whole, spacing, 0.0).sum() + volume.sum()) > 0.9


def test_a_mask_has_the_ellipsoid_s_volume_and_lies_in_its_box() -> None:
    spacing, shape = np.array([2.0, 1.5, 1.5]), (80, 90, 90)
    one = Ellipsoid(np.array([80.0, 66.0, 66.0, *np.log([45.0, 20.0, 30.0]), 0.3, 0.2, 0.4]))
    whole = one.mask((slice(0, 80), slice(0, 90), slice(0, 90)), spacing, 2.0)
    volume = whole.sum() * np.prod(spacing)
    assert volume == pytest.approx(4 / 3 * np.pi * 47 * 22 * 32, rel=0.02)
    box = one.box(shape, spacing, 2.0)
    part = one.mask(box, spacing, 2.0)
    assert part.sum() == whole.sum()
    assert np.array_equal(part, whole[box])
