"""Rows are what the heads see at their voxels, inside anomalies, far from them, and without them."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from scipy import ndimage

from ctscreener.encoded import PLAIN
from ctscreener.encoder import STEM_STRIDE
from ctscreener.heads import Maps, Source, averaged, halved
from Testing.engine.small_encoded import small_encoder
from Testing.training.plain_store import ENCODER, tissue
from Testing.training.small_rows import SOURCES, same, some_rows
from training.data import rows
from training.data.rows import (
    AROUND,
    FAR,
    Clean,
    RowSettings,
    anomalous_voxels,
    describe,
    draw_rows,
    interpolated,
    sample,
    touched,
)
from training.synthetic.corruption import Corrupted, CorruptionSettings, corrupt

SETTINGS = RowSettings(
    an_anomaly=6,
    untouched=40,
    corruption=CorruptionSettings(fewest=3, radius_mm=(3.0, 7.0)),
)
PATIENT = tissue(0)


def clean() -> Clean:
    return Clean(small_encoder(ENCODER), SOURCES, lambda: PATIENT, PLAIN.window)


def test_interpolation_is_that_of_scipy(rng: np.random.Generator) -> None:
    for shape in ((4, 5, 6), (1, 3, 2)):
        values = rng.normal(size=(*shape, 2)).astype(np.float32)
        at = rng.uniform(0, np.array(shape) + 1, (50, 3))
        found = interpolated(torch.from_numpy(values), at).numpy()
        for channel in range(2):
            expected = ndimage.map_coordinates(values[..., channel], at.T, order=1, mode="nearest")
            np.testing.assert_allclose(found[:, channel], expected, atol=1e-5)
    assert interpolated(torch.from_numpy(values), np.zeros((0, 3))).shape == (0, 2)


def test_a_row_is_what_the_heads_see_at_its_voxel(rng: np.random.Generator) -> None:
    size = (6, 7, 9)
    numbers = torch.Generator().manual_seed(0)
    maps = {s: torch.randn(1, 3, *halved(size, s.level), generator=numbers) for s in SOURCES}
    at = rng.integers(0, size, (30, 3))
    for source, found in sample(maps, at).items():
        mean = averaged(maps[source], source.cube)[0].numpy()
        places = at.T / 2**source.level
        expected = [ndimage.map_coordinates(c, places, order=1, mode="nearest") for c in mean]
        assert found.dtype == np.float16
        np.testing.assert_allclose(found, np.transpose(expected), atol=2e-3)


@pytest.fixture(scope="module")
def corrupted() -> Corrupted:
    return corrupt(PATIENT, [PATIENT], SETTINGS.corruption, np.random.default_rng(0))


def around(mask: np.ndarray, at: np.ndarray, box: tuple[int, int, int]) -> np.ndarray:
    """The voxels of a box around a voxel of the finest grid."""
    middle = at * STEM_STRIDE
    return mask[
        tuple(slice(max(0, m - n // 2), m + n // 2 + 1) for m, n in zip(middle, box, strict=True))
    ]


def test_voxels_of_an_anomaly_lie_in_it(corrupted: Corrupted) -> None:
    for most in (1, 4, 1000):
        places, numbers = anomalous_voxels(corrupted, PATIENT.body, most, np.random.default_rng(1))
        assert len(np.unique(places, axis=0)) == len(places) > 0
        assert np.bincount(numbers).max() <= most
        for at, number in zip(places, numbers, strict=True):
            assert PATIENT.body[tuple(at * STEM_STRIDE)]
            assert (around(corrupted.label, at, AROUND) == number).any()
    # The larger an anomaly is, the surer is it seen.
    largest = np.argmax(np.bincount(corrupted.label[corrupted.label > 0]))
    assert largest in numbers


def test_untouched_means_that_nothing_near_has_changed(corrupted: Corrupted) -> None:
    found = touched(corrupted)
    assert 0 < found.mean() < 1
    for at in np.argwhere(~found):
        assert not around(corrupted.touched, at, FAR).any()


def test_rows_are_labelled_and_paired(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[Maps, np.ndarray]] = []
    ours = rows.sample

    def watched(maps: Maps, at: np.ndarray) -> dict[Source, np.ndarray]:
        asked.append((maps, at))
        return ours(maps, at)

    monkeypatch.setattr(rows, "sample", watched)
    found = draw_rows(clean(), [PATIENT], SETTINGS, np.random.default_rng(0))
    (dirty, at), (_, paired) = asked
    count = int(found.anomalous.sum())
    assert found.anomalous.tolist() == [1] * count + [0] * (len(at) - count + len(paired))
    assert (found.kind[:count] != "").all()
    assert (found.kind[count:] == "").all()
    assert 0 < len(paired) < count
    assert 0 < len(at) - count <= SETTINGS.untouched
    inside = {tuple(place) for place in at[:count]}
    assert {tuple(place) for place in paired} <= inside
    assert not inside & {tuple(place) for place in at[count:]}
    # A pair shows the same place of the scan as it was.
    before = ours(clean().maps, paired)
    for source in SOURCES:
        np.testing.assert_array_equal(found.features[source.name][len(at) :], before[source])
        assert not np.array_equal(ours(dirty, paired)[source], before[source])


def test_rows_far_from_all_anomalies_are_those_of_the_clean_scan(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Anomalies in the lower slices alone: rows of the upper ones do not know of them."""
    low = replace(PATIENT, body=PATIENT.body.copy(), lung=PATIENT.lung & False)
    low = replace(low, viscera=low.viscera & False)
    low.body[6:] = False
    everywhere = PATIENT.body

    def free(*args: Any) -> Corrupted:  # noqa: ANN401 - whatever it is called with
        made = corrupt(low, [low], SETTINGS.corruption, args[-1])
        assert made.kinds
        return made

    monkeypatch.setattr(rows, "corrupt", free)
    places: list[np.ndarray] = []
    ours = rows.sample
    monkeypatch.setattr(rows, "sample", lambda maps, at: places.append(at) or ours(maps, at))
    found = draw_rows(clean(), [], replace(SETTINGS, untouched=1000), np.random.default_rng(0))
    before = ours(clean().maps, places[0])
    # The first stage of this encoder sees less than 8 slices to either side.
    far = (places[0][:, 0] * STEM_STRIDE[0] > 5 + 8) & (found.anomalous[: len(places[0])] == 0)
    assert far.sum() > 50
    assert everywhere[tuple((places[0][far] * STEM_STRIDE).T)].all()
    name = SOURCES[0].name
    np.testing.assert_array_equal(found.features[name][: len(far)][far], before[SOURCES[0]][far])
    assert not np.array_equal(found.features[name][: len(far)], before[SOURCES[0]])


def test_the_clean_scan_is_encoded_once_for_all_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[np.ndarray] = []
    ours = describe

    def watched(encoder: Any, sources: Any, hu: np.ndarray, window: Any) -> Maps:  # noqa: ANN401
        seen.append(hu)
        return ours(encoder, sources, hu, window)

    monkeypatch.setattr(rows, "describe", watched)
    one = clean()
    drawn = [draw_rows(one, [PATIENT], SETTINGS, np.random.default_rng(n)) for n in range(3)]
    assert len(seen) == 3 + 1
    assert sum(hu is PATIENT.hu for hu in seen) == 1
    alone = draw_rows(clean(), [PATIENT], SETTINGS, np.random.default_rng(1))
    assert same(drawn[1], alone)
    assert not same(drawn[0], alone)


def test_an_anomaly_of_many_rows_weighs_as_its_evenness_says() -> None:
    rows = some_rows(0)
    assert rows.weights(0.0).tolist() == [1.0] * 9
    np.testing.assert_allclose(rows.weights(1.0), [0.5, 0.5] + [1] * 7)
    np.testing.assert_allclose(rows.weights(0.5), [0.5**0.5] * 2 + [1] * 7)


def test_anomalies_of_no_inserted_family_weigh_as_others_do() -> None:
    rows = some_rows(0)
    kind = rows.kind.copy()
    kind[3] = "kidney_tumour"
    mixed = replace(rows, kind=kind)
    expected = rows.weights(0.5) * ([0.25] * 3 + [1] * 6)
    np.testing.assert_allclose(mixed.weights(0.5, 0.25), expected)
    np.testing.assert_array_equal(mixed.weights(0.5), rows.weights(0.5))
