"""A scan looks the same to the networks however it was stored, and scores find their way back."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from ctscreener.errors import InputError
from ctscreener.preprocess import Prepared, PreprocessSettings, equalize, prepare, restore
from ctscreener.resampling import pooled_affine, resample, to_lattice
from ctscreener.scan import CANONICAL, Scan, reoriented_to_canonical
from ctscreener.tiled import batch_of, pooled_mask
from Testing.engine.small_model import SETTINGS
from Testing.engine.torso import (
    AXES,
    COARSE,
    LUNG_RAS,
    SHAPE,
    canonical_affine,
    in_other_axes,
    index_of,
    torso,
    turned,
    world,
)

ODD = torso(canonical_affine(SHAPE, (3.9, 3.7, 4.1), (1.3, 2.1, -0.7)))

POOL = COARSE.multiple

TILT = turned(canonical_affine(), 10, 0, SHAPE)


@pytest.fixture(scope="module")
def prepared() -> Prepared:
    """The torso on a grid with sides and places that are no round numbers."""
    return prepare(ODD, COARSE)


@pytest.mark.parametrize(("order", "flips"), AXES)
def test_the_axes_of_the_file_do_not_matter(
    prepared: Prepared, order: tuple[int, int, int], flips: tuple[int, int, int]
) -> None:
    other = prepare(in_other_axes(ODD, order, flips), COARSE)
    np.testing.assert_allclose(other.affine, prepared.affine, atol=1e-9)
    np.testing.assert_array_equal(other.body, prepared.body)
    assert np.abs(other.image.astype(int) - prepared.image).max() <= 1


@pytest.mark.parametrize("shift", [0.0, 0.75, 1.5, 2.25])
def test_nor_do_they_where_the_lattice_meets_the_edges_of_the_scan(shift: float) -> None:
    affine = canonical_affine((40, 40, 40), (4.5, 4.5, 4.5), (shift, shift, shift))
    scan = torso(affine, (40, 40, 40))
    here = to_lattice(scan, np.array([2.25, 1.5, 1.5]))
    for order, flips in AXES[:2]:
        other = reoriented_to_canonical(in_other_axes(scan, order, flips))
        there = to_lattice(other, np.array([2.25, 1.5, 1.5]))
        np.testing.assert_allclose(there[1], here[1], atol=1e-9)
        np.testing.assert_allclose(there[0], here[0], atol=0.01)


@pytest.mark.parametrize("axis", [0, 2])
def test_a_turned_scan_looks_nearly_the_same(prepared: Prepared, axis: int) -> None:
    other = prepare(torso(turned(ODD.affine, 10, axis, SHAPE)), COARSE)
    image = resample(
        other.image.astype(np.float32), other.affine, prepared.affine, prepared.image.shape
    )
    body = resample(
        other.body.astype(np.uint8), other.affine, prepared.affine, prepared.image.shape, 0, True
    )
    seen = np.isfinite(image)
    both = seen & (body > 0) & prepared.body
    assert 2 * both.sum() / np.sum([(body > 0) & seen, prepared.body & seen]) > 0.97
    # Another crop has another set of tiles to equalize: that alone moves grey levels.
    difference = np.abs(image[both] - prepared.image[both])
    assert np.median(difference) < 6
    assert np.corrcoef(image[both], prepared.image[both])[0, 1] > 0.97


def test_a_tilted_scan_that_ends_in_the_lungs_keeps_them() -> None:
    other = prepare(torso(TILT, lung_half_length=1e4), COARSE)
    r, a, _ = place = world(other.affine, other.image.shape)
    index = np.einsum("ij,jdhw->idhw", np.linalg.inv(TILT)[:3, :3], place) + np.linalg.inv(TILT)[
        :3, 3
    ].reshape(3, 1, 1, 1)
    measured = ((index > 0) & (index < np.reshape(SHAPE, (3, 1, 1, 1)) - 1)).all(0)
    for x, y, _ in LUNG_RAS:
        lung = ((r - x) / 28) ** 2 + ((a - y) / 40) ** 2 < 0.7
        assert other.body[lung & measured].mean() > 0.99


def test_air_in_the_corner_of_a_tight_field_of_view_is_no_body() -> None:
    whole = torso()
    r, a, _ = world(whole.affine, whole.shape)
    left, behind = int((r[0, 0] > -76).sum()), int((a[0, :, 0] > -60).sum())
    for more in range(3):
        hu = whole.hu[:, : behind + more, : left + more]
        corner = whole.affine @ [0, hu.shape[1] - 1, hu.shape[2] - 1, 1]
        done = prepare(Scan(np.ascontiguousarray(hu), whole.affine), COARSE)
        d, h, w = index_of(done.affine, (corner[0] + 2, corner[1] + 2, 0.0))
        assert not done.body[d, h, w], more
        assert done.body[index_of(done.affine, LUNG_RAS[1])]


def test_a_slice_of_padding_on_the_border_of_the_scan_lets_no_air_in() -> None:
    shape = (20, 64, 64)
    scan = torso(canonical_affine(shape, (4.5, 4.0, 4.0)), shape, lung_half_length=1e4)
    done = prepare(scan, PreprocessSettings(spacing=(2.25, 3.0, 3.0)))
    # 39 slices lie within the scan and the pooling needs an even number.
    assert done.body.shape[0] == 40
    for lung in LUNG_RAS:
        _, h, w = index_of(done.affine, lung)
        assert done.body[:-1, h, w].all()
    assert not done.body[-1].any()


def test_padding_below_air_is_read_as_air(prepared: Prepared) -> None:
    hu = ODD.hu.copy()
    r, a, _ = world(ODD.affine, ODD.shape)
    corner = (np.hypot(r, a) > 126) & (a < 0)
    assert corner.any()
    hu[corner] = -1024
    air = prepare(Scan(hu, ODD.affine), COARSE)
    hu[corner] = -3024
    padded = prepare(Scan(hu, ODD.affine), COARSE)
    np.testing.assert_array_equal(padded.image, air.image)
    np.testing.assert_array_equal(padded.body, air.body)
    assert padded.image.shape == prepared.image.shape


def test_the_grid_is_canonical_and_fixed_in_the_patient(prepared: Prepared) -> None:
    np.testing.assert_allclose(prepared.affine[:3, :3], CANONICAL.T * COARSE.spacing)
    steps = (CANONICAL @ prepared.affine[:3, 3]) / COARSE.spacing
    np.testing.assert_allclose(steps, np.rint(steps), atol=1e-9)
    assert prepared.image.dtype == np.uint8
    assert prepared.body.shape == prepared.image.shape
    assert all(n % unit == 0 for n, unit in zip(prepared.image.shape, POOL, strict=True))


def test_contrast_is_not_stretched_where_a_scan_holds_no_air_and_no_bone() -> None:
    noise = np.random.default_rng(0).normal(0, 0.01, (24, 48, 48)).astype(np.float32)
    settings = PreprocessSettings(spacing=(4.5, 3.0, 3.0))
    mean = {}
    for hu in (-600.0, 0.0, 100.0):
        inner = equalize(hu + noise, settings)[1:-1, 1:-1, 1:-1]
        assert np.ptp(inner) <= 60
        mean[hu] = inner.mean()
    assert mean[-600.0] < mean[0.0] < mean[100.0]


def test_a_brighter_voxel_of_one_neighbourhood_is_hardly_ever_shown_darker() -> None:
    hu = np.linspace(-1200, 400, 12 * 16 * 16).reshape(12, 16, 16)
    grey = equalize(hu, COARSE).ravel().astype(int)[1:-1]
    inside = (hu.ravel()[1:-1] > -1000) & (hu.ravel()[1:-1] < 300)
    assert np.diff(grey[inside]).min() >= -3
    assert grey[inside][-1] - grey[inside][0] > 200
    unmeasured = hu.copy()
    unmeasured[0, 0, :5] = np.nan
    unmeasured[0, 0, 5:] = -1000
    assert np.ptp(equalize(unmeasured, COARSE)[0, 0]) == 0


def plane(affine: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """A function that is linear in the place."""
    r, a, s = world(affine, shape)
    return 10 + 0.5 * r - 0.3 * a + 0.8 * s


@pytest.mark.parametrize(
    "scan",
    [
        ODD,
        in_other_axes(ODD, *AXES[3]),
        Scan(ODD.hu, TILT),
        torso(canonical_affine((90, 40, 41)), (90, 40, 41)),
    ],
    ids=["straight", "permuted", "tilted", "long"],
)
def test_scores_come_back_to_their_own_place(scan: Scan) -> None:
    done = prepare(scan, COARSE)
    where = pooled_mask(done.body, POOL)
    split = [m for n, unit in zip(where.shape, POOL, strict=True) for m in (n, unit)]
    blocks = plane(done.affine, done.image.shape).reshape(split).mean(axis=(1, 3, 5))
    values = np.where(where, blocks, np.nan)
    restored = restore(values.astype(np.float32), pooled_affine(done.affine, POOL), done, scan)
    assert restored.shape == scan.shape
    assert restored.dtype == np.float32
    expected = plane(scan.affine, scan.shape)
    # All eight pooled neighbours count a diagonal away from the surface of the body.
    deep = np.pad(ndimage.binary_erosion(where, np.ones((3, 3, 3))), 1)
    origin = pooled_affine(done.affine, POOL)
    origin[:3, 3] -= origin[:3, :3].sum(axis=1)
    deep = resample(deep.astype(np.uint8), origin, scan.affine, scan.shape, 0, True) > 0
    assert deep.mean() > 0.15
    np.testing.assert_allclose(restored[deep], expected[deep], atol=1e-3)
    found = np.isfinite(restored)
    # Elsewhere the mean of known neighbours stands in, at most a pooled voxel away.
    assert np.abs(restored[found] - expected[found]).max() < 9 * (0.5 + 0.3 + 0.8)
    body = resample(done.body.astype(np.uint8), done.affine, scan.affine, scan.shape, 0, True)
    np.testing.assert_array_equal(found, body > 0)


def test_the_last_digits_of_a_place_decide_about_no_voxel() -> None:
    # Every sixth slice lies halfway between two of the lattice.
    shape = (60, 64, 64)
    affine = canonical_affine(shape, (3.75, 4.0, 4.0), (0.0, 0.0, 0.375))
    maps = []
    for digits in (-6e-14, 0.0, 6e-14):
        scan = torso(affine, shape)
        scan.affine[:3, 3] += digits
        done = prepare(scan, COARSE)
        values = np.zeros(done.body.shape, np.float32)
        maps.append(np.isfinite(restore(values, done.affine, done, scan)))
    assert maps[1].mean() > 0.1
    for other in (maps[0], maps[2]):
        np.testing.assert_array_equal(other, maps[1])


def test_training_cuts_exactly_what_inference_shows_the_networks(prepared: Prepared) -> None:
    crops = pytest.importorskip("training.data.crops")
    cutting = pytest.importorskip("training.data.cutting")
    start, size = (4, 9, 15), SETTINGS.tile
    box = tuple(slice(s, s + n) for s, n in zip(start, size, strict=True))
    assert len(box) == 3
    where = pooled_mask(prepared.body, POOL)
    pooled = tuple(n // unit * unit for n, unit in zip(start, POOL, strict=True))
    aligned = tuple(slice(s, s + n) for s, n in zip(pooled, size, strict=True))
    assert len(aligned) == 3
    shown, _, _ = batch_of([aligned], prepared.image, where, prepared.image.shape, SETTINGS)
    whole = torch.from_numpy(prepared.image)
    cut = cutting.cut(whole, np.zeros(3, int), crops.Crop(pooled, 1.0), size)
    assert torch.equal(cut, shown[0, 0])
    assert 0 <= shown.min() < 0.2
    assert 0.5 < shown.max() <= 1


def test_a_scan_thinner_than_a_voxel_is_refused() -> None:
    thin = Scan(
        np.zeros((1, 40, 40), np.float32), canonical_affine((1, 40, 40), (0.5, 4, 4), (0, 0, 1))
    )
    with pytest.raises(InputError, match="several cm") as error:
        prepare(thin, COARSE)
    assert error.value.code == "scan.too_small"


def test_a_scan_of_air_is_refused() -> None:
    with pytest.raises(InputError) as error:
        prepare(Scan(np.full(SHAPE, -1000, np.float32), ODD.affine), COARSE)
    assert error.value.code == "scan.no_body"
