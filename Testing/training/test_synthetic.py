"""Synthetic anomalies change what they say they change, and nothing gives their borders away."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import ndimage
from scipy.stats import rankdata

from Testing.training.plain_store import SOFT, SPACING, noise_of, tissue
from training.synthetic import corruption
from training.synthetic.corruption import Corrupted, CorruptionSettings, corrupt
from training.synthetic.kinds import IN_LUNG, KINDS, Site, blend
from training.synthetic.shapes import ROUGH, Shape3d, box_shape, draw_shape
from training.synthetic.tissue import Tissue, read_tissue

SMALL = CorruptionSettings(fewest=5, radius_mm=(3.0, 8.0))
SEEDS = range(3)


@pytest.fixture(scope="module")
def patient() -> Tissue:
    return tissue(0)


@pytest.fixture(scope="module")
def corrupted(patient: Tissue) -> list[Corrupted]:
    donors = [patient, tissue(1)]
    return [corrupt(patient, donors, SMALL, np.random.default_rng(seed)) for seed in SEEDS]


def uniform(deviation: float, blur: float, seed: int = 0) -> Tissue:
    """A body of one tissue, as large as the image, and noise."""
    shape = (24, 48, 48)
    hu = np.rint(SOFT + noise_of(shape, deviation, blur, np.random.default_rng(seed)))
    return read_tissue(hu, np.ones(shape, bool), SPACING)


def site_of(host: Tissue, shape: Shape3d, radius: float = 8.0) -> Site:
    """The middle of a scan, where a shape goes."""
    box = tuple(
        slice((n - m) // 2, (n - m) // 2 + m)
        for n, m in zip(host.hu.shape, shape.share.shape, strict=True)
    )
    return Site(host.hu[box], shape, radius, False, host, host.hu[box])


def test_the_patient_has_every_tissue(patient: Tissue) -> None:
    for part in (patient.lung, patient.soft, patient.viscera):
        assert 100 < part.sum() < patient.body.sum()
        assert not part[~patient.body].any()


def test_the_same_seed_gives_the_same_voxels(patient: Tissue, corrupted: list[Corrupted]) -> None:
    again = corrupt(patient, [patient, tissue(1)], SMALL, np.random.default_rng(0))
    assert np.array_equal(again.hu, corrupted[0].hu)
    assert np.array_equal(again.label, corrupted[0].label)
    assert again.kinds == corrupted[0].kinds
    assert not np.array_equal(again.hu, corrupted[1].hu)


def test_only_the_body_changes_where_it_says_so(
    patient: Tissue, corrupted: list[Corrupted]
) -> None:
    for found in corrupted:
        changed = found.hu != patient.hu
        assert changed.any()
        assert not changed[~patient.body].any()
        assert not (found.label > 0)[~patient.body].any()
        np.testing.assert_array_equal(found.touched, changed | (found.label > 0))
        assert changed[found.label > 0].mean() > 0.8
        assert np.array_equal(found.hu, np.rint(found.hu))
        assert found.hu.dtype == np.float32


def test_each_anomaly_has_a_number_and_a_kind(corrupted: list[Corrupted]) -> None:
    for found in corrupted:
        numbers = np.unique(found.label)
        assert numbers.tolist() == list(range(len(found.kinds) + 1))
        assert len(found.kinds) > 1
        assert set(found.kinds) <= {*KINDS, *IN_LUNG}


def test_sizes_keep_to_their_limits(corrupted: list[Corrupted]) -> None:
    largest = SMALL.radius_mm[1]
    most = 4 / 3 * np.pi * (largest * (1 + ROUGH)) ** 3 / np.prod(SPACING)
    for found in corrupted:
        for number, box in enumerate(ndimage.find_objects(found.label), 1):
            sides = [side.stop - side.start for side in box]
            assert np.all(np.array(sides) <= box_shape(largest, SPACING))
            assert 4 <= (found.label == number).sum() <= most


def test_no_anomaly_touches_another(patient: Tissue, monkeypatch: pytest.MonkeyPatch) -> None:
    ours, added = corruption._one, 0

    def watched(*args: Any) -> str | None:  # noqa: ANN401 - whatever it is called with
        nonlocal added
        _, _, _, hu, label, touched, *_ = args
        before = hu.copy(), label.copy(), touched.copy()
        kind = ours(*args)
        added += kind is not None
        for old, new in zip(before, (hu, label, touched), strict=True):
            assert np.array_equal(new[before[2]], old[before[2]])
        return kind

    monkeypatch.setattr(corruption, "_one", watched)
    many = replace(SMALL, fewest=12)
    corrupt(patient, [patient], many, np.random.default_rng(4))
    assert added > 3


def test_kinds_can_be_left_out(patient: Tissue) -> None:
    kept = ("fluid", "gas")
    without = tuple(name for name in {*KINDS, *IN_LUNG} if name not in kept)
    found = corrupt(patient, [patient], replace(SMALL, without=without), np.random.default_rng(0))
    assert found.kinds
    assert set(found.kinds) <= set(kept)


@pytest.mark.parametrize("without", [("gass",), tuple({*KINDS, *IN_LUNG}), tuple(KINDS)])
def test_kinds_that_are_not_known_or_all_of_them_cannot_be_left_out(
    without: tuple[str, ...],
) -> None:
    with pytest.raises(ValueError, match="kinds"):
        CorruptionSettings(without=without)


@pytest.mark.parametrize("name", sorted({*KINDS, *IN_LUNG}))
def test_nothing_changes_outside_of_a_shape(patient: Tissue, name: str) -> None:
    rng = np.random.default_rng(2)
    shape = draw_shape(6.0, SPACING, rng)
    kind = {**KINDS, **IN_LUNG}[name][0]
    site = site_of(patient, shape, 6.0)
    after = kind(replace(site, donor=site.hu[::-1].copy()), rng)
    assert after.shape == site.hu.shape
    assert np.isfinite(after).all()
    assert (after != site.hu).any()
    if name not in ("mass", "swelling"):
        np.testing.assert_array_equal(after[shape.share == 0], site.hu[shape.share == 0])


def test_shapes_are_about_as_large_as_their_radius_and_end_inside_their_box() -> None:
    rng, sizes = np.random.default_rng(3), []
    for _ in range(12):
        radius = float(rng.uniform(4, 10))
        shape = draw_shape(radius, SPACING, rng)
        assert shape.share.shape == box_shape(radius, SPACING)
        assert 0 <= shape.share.min() <= shape.share.max() <= 1
        inside = shape.depth > 0
        sizes.append(inside.sum() * np.prod(SPACING) / (4 / 3 * np.pi * radius**3))
        faces = np.ones_like(inside)
        faces[1:-1, 1:-1, 1:-1] = False
        assert not inside[faces].any()
    assert 0.6 < np.median(sizes) < 1.5


def test_a_scans_own_tissue_at_its_own_place_leaves_no_trace(patient: Tissue) -> None:
    rng = np.random.default_rng(1)
    for radius in (3.0, 8.0):
        site = site_of(patient, draw_shape(radius, SPACING, rng), radius)
        for own_noise in (False, True):
            for amount in (0.5, 1.0):
                after = blend(site, site.hu, rng, amount, own_noise=own_noise)
                assert np.array_equal(after, site.hu)


@pytest.mark.parametrize(("deviation", "blur"), [(8.0, 0.5), (20.0, 0.8), (30.0, 1.2)])
def test_painted_noise_is_like_the_scans(deviation: float, blur: float) -> None:
    host = uniform(deviation, blur)
    assert host.noise_hu == pytest.approx(deviation, rel=0.25)
    whole = np.ones((20, 40, 40), np.float32)
    site = site_of(host, Shape3d(whole, whole))
    painted = blend(site, np.full_like(site.hu, SOFT), np.random.default_rng(1))
    assert (painted != site.hu).mean() > 0.8
    assert painted.std() == pytest.approx(site.hu.std(), rel=0.25)
    for axis in range(3):
        assert neighbours(painted, axis) == pytest.approx(neighbours(site.hu, axis), rel=0.25)


def neighbours(hu: np.ndarray, axis: int) -> float:
    """Correlation of neighbours along an axis."""
    moved = np.moveaxis(hu, axis, 0)
    return float(np.corrcoef(moved[1:].ravel(), moved[:-1].ravel())[0, 1])


def local_features(hu: np.ndarray) -> np.ndarray:
    """Mean, deviation and gradients around each voxel, and their squares, `(D, H, W, 10)`."""
    mean = ndimage.uniform_filter(hu.astype(float), 3)
    spread = np.sqrt(np.maximum(ndimage.uniform_filter(hu.astype(float) ** 2, 3) - mean**2, 0))
    steps = [np.abs(ndimage.sobel(hu.astype(float), axis)) for axis in range(3)]
    found = np.stack([mean - SOFT, spread, *steps], -1)
    found = (found - found.mean((0, 1, 2))) / found.std((0, 1, 2))
    return np.concatenate([found, found**2], -1)


def auroc(scores: np.ndarray, positive: np.ndarray) -> float:
    """Share of pairs in which the positive one has the higher score."""
    ranks, count = rankdata(scores), positive.sum()
    above = ranks[positive].sum() - count * (count + 1) / 2
    return float(above / (count * (~positive).sum()))


def told_apart(paint: float, blur: float) -> float:
    """AUROC of a classifier of single voxels: borders of insertions against untouched ones.

    Arguments:
        paint: HU of the inserted tissue.
        blur: Of the scans' noise, in voxels.
    """
    features: list[list[np.ndarray]] = [[], []]
    for seed in range(8):
        rng, host = np.random.default_rng(seed), uniform(15.0, blur, seed)
        shape = draw_shape(7.0, SPACING, rng)
        site = site_of(host, shape)
        after = blend(site, np.full_like(site.hu, paint), rng)
        border = (shape.share > 0.02) & (shape.share < 0.98)
        untouched = ndimage.maximum_filter(shape.share, 3) == 0
        of = local_features(after)
        part = seed % 2
        features[part].append(of[border])
        features[part].append(of[untouched][:: max(1, untouched.sum() // border.sum())])
    x, y = ([np.concatenate(p) for p in features], [labels(p) for p in features])
    x = [np.column_stack([np.ones(len(rows)), rows]) for rows in x]
    weights, *_ = np.linalg.lstsq(x[0], y[0].astype(float), rcond=None)
    return auroc(x[1] @ weights, y[1])


def labels(parts: list[np.ndarray]) -> np.ndarray:
    """True for the rows of every other part, the first among them."""
    return np.concatenate([np.full(len(p), i % 2 == 0) for i, p in enumerate(parts)])


def test_no_border_gives_an_insertion_away() -> None:
    # Noise twice as smooth as this does: neighbours across a border have less in common.
    assert abs(told_apart(SOFT, 0.5) - 0.5) < 0.1


def test_the_classifier_would_see_a_border() -> None:
    assert told_apart(SOFT + 40, 0.5) > 0.75


def test_large_anomalies_come_first(patient: Tissue, monkeypatch: pytest.MonkeyPatch) -> None:
    ours, radii = corruption._one, list[float]()

    def watched(*args: Any) -> str | None:  # noqa: ANN401 - whatever it is called with
        radii.append(args[7])
        return ours(*args)

    monkeypatch.setattr(corruption, "_one", watched)
    corrupt(patient, [patient], replace(SMALL, fewest=12), np.random.default_rng(4))
    assert len(set(radii)) > 4
    assert radii == sorted(radii, reverse=True)


def test_lungs_receive_small_anomalies_besides(patient: Tissue) -> None:
    plain = replace(SMALL, nodules_a_litre=0.0)
    litres = patient.lung.sum() * np.prod(patient.spacing) / 1e6
    many = replace(plain, nodules_a_litre=20 / litres + 1e-6, nodule_mm=(1.5, 2.0))
    before, after = (
        corruption.planned(patient, some, np.random.default_rng(3)) for some in (plain, many)
    )
    small = [place for radius, place in after if radius <= 2.0]
    assert len(after) == len(before) + 20
    assert small == [0] * 20
