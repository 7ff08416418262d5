"""Tests of lesions inserted into scans: places, voxels, noise and sharpness."""

from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
from scipy import ndimage

from ctscreener.errors import InputError
from ctscreener.scan import Scan
from training.inserted.host import Host, InsertedFamily, find_host
from training.inserted.insertion import Inserted, insert
from training.inserted.overview import overview
from training.inserted.texture import Noise, measure_blur, measure_noise
from training.phantoms import organs
from training.phantoms.lesion_site import LABELS
from training.phantoms.phantom import Phantom, make_phantom

HOMES = {
    "lung_nodule": {organs.LUNG, organs.VESSEL, organs.AIRWAY},
    "lung_opacity": {organs.LUNG, organs.VESSEL, organs.AIRWAY},
    # A mass of the kidney grows into the fat around it.
    "kidney_tumour": {organs.KIDNEY, organs.FAT},
    "liver_tumour": {organs.LIVER},
    "lung_mass": {organs.LUNG, organs.VESSEL, organs.AIRWAY},
    "pleural_effusion": {organs.LUNG, organs.VESSEL, organs.AIRWAY},
}
PLACES = {
    "lung_nodule": "chest",
    "lung_opacity": "chest",
    "lung_mass": "chest",
    "pleural_effusion": "chest",
}


def phantom(family: InsertedFamily, seed: int, coarsen: float) -> Phantom:
    rng = np.random.default_rng([77, seed])
    return make_phantom(rng, PLACES.get(family, "abdomen"), "none", 0, coarsen)  # pyright: ignore[reportArgumentType]


def host_of(scan: Scan, family: InsertedFamily, known: np.ndarray | None = None) -> Host:
    return find_host(scan, family, np.random.default_rng(1), known)


@pytest.fixture(scope="module")
def chest() -> Phantom:
    return phantom("lung_nodule", 0, 2.5)


@pytest.fixture(
    scope="module", params=["lung_nodule", "lung_opacity", "lung_mass", "pleural_effusion"]
)
def inserted(request: pytest.FixtureRequest, chest: Phantom) -> tuple[Host, Inserted]:
    host = host_of(chest.scan, request.param)
    return host, insert(host, np.random.default_rng(5))


def share_at_home(source: Phantom, family: InsertedFamily, mask: np.ndarray) -> float:
    return float(np.isin(source.organ[mask > 0], list(HOMES[family])).mean())


def test_voxels_away_from_the_lesions_are_identical(inserted: tuple[Host, Inserted]) -> None:
    host, result = inserted
    changed = result.hu != host.scan.hu
    blurred = np.ceil(3 * host.blur).astype(int).max() + 1
    # An opacity fades out over a centimetre, beyond the share that its mask begins with.
    reach = 2 * int(blurred) + (4 if host.family == "lung_opacity" else 1)
    edge = ndimage.binary_dilation(result.mask > 0, iterations=reach)
    assert changed.any()
    assert not (changed & ~edge).any()
    assert result.hu.dtype == host.scan.hu.dtype
    assert result.hu.shape == result.mask.shape == host.scan.shape
    assert result.mask.dtype == np.uint8
    assert set(np.unique(result.mask)) == {0, LABELS[host.family]}


def test_the_mask_is_where_the_scan_changed_by_more_than_noise(
    inserted: tuple[Host, Inserted],
) -> None:
    host, result = inserted
    change = ndimage.uniform_filter(result.hu - host.scan.hu, 3)
    seen = np.abs(change) > 3 * host.noise.hu
    assert seen[result.mask > 0].mean() > 0.9
    away = ~ndimage.binary_dilation(result.mask > 0, iterations=3)
    assert seen[away].mean() < 1e-3


def test_the_same_seed_gives_the_same_voxels_and_another_seed_others(chest: Phantom) -> None:
    host = host_of(chest.scan, "lung_nodule")
    first, second, other = (insert(host, np.random.default_rng(s)) for s in (5, 5, 6))
    assert np.array_equal(first.hu, second.hu)
    assert np.array_equal(first.mask, second.mask)
    assert not np.array_equal(first.mask, other.mask)


def test_the_directions_of_the_axes_change_nothing(chest: Phantom) -> None:
    scan = chest.scan
    turn = np.array([[0, 0, 1, 0], [0, -1, 0, scan.shape[1] - 1], [1, 0, 0, 0], [0, 0, 0, 1.0]])
    turned = Scan(
        np.ascontiguousarray(scan.hu.transpose(2, 1, 0)[:, ::-1]),
        scan.affine @ turn,
    )
    plain = insert(host_of(scan, "lung_nodule"), np.random.default_rng(5))
    other = insert(host_of(turned, "lung_nodule"), np.random.default_rng(5))
    assert np.array_equal(other.hu[:, ::-1].transpose(2, 1, 0), plain.hu)
    assert np.array_equal(other.mask[:, ::-1].transpose(2, 1, 0), plain.mask)


def test_no_lesion_is_put_on_one_that_is_known(chest: Phantom) -> None:
    known = np.zeros(chest.scan.shape, np.uint8)
    known[:, :, : known.shape[2] // 2] = 1
    host = host_of(chest.scan, "lung_nodule", known)
    masks = [insert(host, np.random.default_rng(seed)).mask for seed in range(3)]
    assert all(mask.any() for mask in masks)
    assert not any(mask[known > 0].any() for mask in masks)


@pytest.mark.parametrize("family", get_args(InsertedFamily))
def test_a_cylinder_of_water_has_no_organ(family: InsertedFamily) -> None:
    d, h, w = np.ogrid[:60, :80, :80]
    inside = (h - 40) ** 2 + (w - 40) ** 2 < 30**2
    hu = np.where(inside & (d >= 0), 0.0, -1000.0).astype(np.float32)
    affine = np.array([[0, 0, -4.0, 0], [0, -4.0, 0, 0], [4.0, 0, 0, 0], [0, 0, 0, 1]])
    with pytest.raises(InputError, match="cannot be told where the organ lies"):
        host_of(Scan(hu, affine), family)


def test_a_scan_that_ends_above_the_liver_is_refused_for_it(chest: Phantom) -> None:
    scan = chest.scan
    cut = scan.shape[0] * 2 // 3
    affine = scan.affine.copy()
    affine[:, 3] += affine[:, 0] * cut
    with pytest.raises(InputError, match="the liver"):
        host_of(Scan(scan.hu[cut:], affine), "liver_tumour")


@pytest.mark.parametrize("family", ["lung_nodule", "lung_opacity", "liver_tumour", "lung_mass"])
def test_lesions_lie_in_their_organ(family: InsertedFamily) -> None:
    source = phantom(family, 5, 1.5)
    result = insert(host_of(source.scan, family), np.random.default_rng(2))
    assert share_at_home(source, family, result.mask) >= 0.95


@pytest.mark.slow
@pytest.mark.parametrize("family", get_args(InsertedFamily))
def test_no_lesion_of_many_bodies_leaves_its_organ(family: InsertedFamily) -> None:
    """Four bodies a family: a minute. A body in which the organ is not found is refused."""
    shares = []
    for seed in range(4):
        source = phantom(family, seed, 2.0)
        try:
            result = insert(host_of(source.scan, family), np.random.default_rng(2))
        except InputError:
            continue
        shares.append(share_at_home(source, family, result.mask))
    assert len(shares) >= (2 if family == "kidney_tumour" else 3)
    assert min(shares) >= 0.95


def ball_of_noise(rng: np.random.Generator, sigma: float, hu: float) -> Scan:
    """A cylinder of soft tissue with a blurred skin and correlated noise of `hu`."""
    h, w = np.ogrid[:160, :160]
    plane = np.where((h - 80) ** 2 + (w - 80) ** 2 < 60**2, 50.0, -1000.0)
    plane = ndimage.gaussian_filter(plane, sigma)
    noise = ndimage.gaussian_filter(rng.standard_normal((40, 160, 160)), (0, 0.8, 0.8))
    values = plane + noise * hu / noise.std()
    affine = np.array([[0, 0, -1.5, 0], [0, -1.5, 0, 0], [3.0, 0, 0, 0], [0, 0, 0, 1]])
    return Scan(values.astype(np.float32), affine)


def test_noise_is_drawn_as_it_was_measured(rng: np.random.Generator) -> None:
    scan = ball_of_noise(rng, 0.6, 20.0)
    noise = measure_noise(scan, overview(scan), rng)
    assert noise.hu == pytest.approx(20.0, rel=0.15)
    drawn = noise.sample((30, 60, 60), rng)
    assert drawn.std() == pytest.approx(20.0, rel=0.2)
    beside = float(np.mean(drawn[:, :, 1:] * drawn[:, :, :-1]) / drawn.var())
    above = float(np.mean(drawn[1:] * drawn[:-1]) / drawn.var())
    assert beside == pytest.approx(np.exp(-1 / (4 * 0.8**2)), abs=0.12)
    assert abs(above) < 0.1


def test_white_noise_stays_white(rng: np.random.Generator) -> None:
    covariance = np.zeros((3, 5, 5))
    covariance[1, 2, 2] = 49.0
    drawn = Noise(covariance).sample((20, 20, 20), rng)
    assert drawn.std() == pytest.approx(7.0, rel=0.05)
    assert abs(np.mean(drawn[:, 1:] * drawn[:, :-1])) < 3


@pytest.mark.parametrize("sigma", [0.6, 1.0, 1.4])
def test_sharpness_is_measured_at_the_skin(rng: np.random.Generator, sigma: float) -> None:
    scan = ball_of_noise(rng, sigma, 5.0)
    assert measure_blur(scan, overview(scan))[1] == pytest.approx(sigma, abs=0.3)


def test_a_host_without_room_says_so(chest: Phantom) -> None:
    host = host_of(chest.scan, "lung_nodule")
    full = replace(host, organ=np.full_like(host.organ, organs.AIR))
    with pytest.raises(InputError, match="room"):
        insert(full, np.random.default_rng(0))


def test_masses_are_larger_than_nodules_and_most_touch_what_is_no_lung(chest: Phantom) -> None:
    host = host_of(chest.scan, "lung_mass")
    voxel_ml = float(np.prod(chest.scan.spacing)) / 1000
    # The home of a mass: what is neither lung nor in it lies beyond the pleura.
    beyond = ~np.isin(chest.organ, list(HOMES["lung_mass"]))
    volumes, touching = [], []
    for seed in range(6):
        mask = insert(host, np.random.default_rng(seed)).mask > 0
        volumes.append(mask.sum() * voxel_ml)
        touching.append((ndimage.binary_dilation(mask, iterations=2) & beyond).any())
    assert min(volumes) > 1
    assert np.median(volumes) > 8
    assert sum(touching) >= 3


def test_an_effusion_lies_on_one_side_and_on_what_is_no_lung(chest: Phantom) -> None:
    host = host_of(chest.scan, "pleural_effusion")
    beyond = ~np.isin(chest.organ, list(HOMES["pleural_effusion"]))
    middle = host.box[2].start + host.origin[2]
    for seed in range(4):
        mask = insert(host, np.random.default_rng(seed)).mask > 0
        assert (ndimage.binary_dilation(mask, iterations=2) & beyond).any()
        columns = np.flatnonzero(mask.any((0, 1)))
        assert (columns < middle + 1).all() or (columns > middle - 1).all()
