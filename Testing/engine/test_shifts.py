"""Shifts of the coarser maps: the same networks on grids that begin elsewhere, and their mean."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from ctscreener.encoded import EncodedSettings
from ctscreener.encoder import Encoder
from ctscreener.scan import Shape
from ctscreener.shifts import (
    SHIFTS,
    box,
    encode,
    encode_shifts,
    finest,
    in_voxels,
    mean_over_shifts,
)
from Testing.engine.small_encoded import SETTINGS, small_encoded, small_encoder

CPU = torch.device("cpu")
FACE = 9
"""Voxels of the finest map that an encoder so small sees beyond a face, where there is nothing."""
SHAPE = (52, 108, 96)


@pytest.fixture
def image(rng: np.random.Generator) -> np.ndarray:
    return rng.integers(-900, 200, SHAPE).astype(np.int16)


def scores(image: np.ndarray, shifts: int) -> np.ndarray:
    networks = small_encoded(replace(SETTINGS, shifts=shifts))
    return networks.whole(image, np.ones(image.shape, bool), CPU, lambda done, total: None)[0]


@pytest.mark.parametrize("count", [2, 4])
def test_a_shift_is_the_same_image_from_elsewhere_on(image: np.ndarray, count: int) -> None:
    total, many = np.zeros(finest(SHAPE)), np.zeros(finest(SHAPE))
    for shift in SHIFTS[count]:
        total[box(shift)] += scores(image[box(in_voxels(shift))], 1)
        many[box(shift)] += 1
    inside = (slice(FACE, -FACE),) * 3
    found = scores(image, count)
    np.testing.assert_allclose(found[inside], (total / many)[inside], atol=1e-4)
    assert np.abs(found - scores(image, 1))[inside].max() > 0.01


@pytest.mark.parametrize("count", [2, 4])
def test_scores_follow_a_scan_that_moves_better_than_without(
    image: np.ndarray, count: int
) -> None:
    changes = []
    for shifts in (1, count):
        here, moved = scores(image, shifts), scores(image[2:, 4:, 4:], shifts)
        changes.append(np.abs(here[1:, 1:, 1:] - moved)[(slice(FACE, -FACE),) * 3].mean())
    assert changes[1] < 0.8 * changes[0]


def test_the_first_stage_is_computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, ...]] = []
    original = Encoder.first_in_slabs

    def noted(self: Encoder, x: torch.Tensor, depth: int) -> torch.Tensor:
        asked.append(tuple(x.shape[2:]))
        return original(self, x, depth)

    monkeypatch.setattr(Encoder, "first_in_slabs", noted)
    steps: list[tuple[int, int]] = []
    x = torch.zeros(1, 1, 16, 32, 32)
    made = encode_shifts(
        small_encoder(), x, SETTINGS.sources, 2, lambda done, total: steps.append((done, total))
    )
    assert [maps.keys() for _, maps in made] == [set(SETTINGS.sources)] * 2
    # And once more for each half of the image, which begins elsewhere.
    assert asked == [(16, 32, 32), (8, 16, 16), (7, 14, 14)]
    assert steps == [(done, 8) for done in range(1, 9)]


def test_without_shifts_it_is_the_encoder_alone(image: np.ndarray) -> None:
    x = torch.from_numpy(image / 1000).float()[None, None]
    expected = small_encoder()(x)
    maps = encode(small_encoder(), x, SETTINGS.sources, lambda done, total: None)
    for source, found in maps.items():
        if not source.half:
            torch.testing.assert_close(found, expected[source.stage])


@pytest.mark.parametrize("shape", [(2, 4, 5), (3, 40, 5), (9, 5, 40)])
def test_a_scan_too_small_for_a_shift_has_the_others(shape: Shape) -> None:
    found = scores(np.zeros(shape, np.int16), 2)
    np.testing.assert_array_equal(found, scores(np.zeros(shape, np.int16), 1))
    assert np.isfinite(scores(np.zeros(shape, np.int16), 4)).all()


def test_a_mean_is_that_of_the_shifts_that_a_voxel_has() -> None:
    shifts = iter([(box((0, 0, 0)), {}), (box((1, 0, 1)), {})])
    values = iter([torch.zeros(2, 2, 1, 2), torch.ones(2, 1, 1, 1)])
    found = mean_over_shifts(shifts, (2, 1, 2), lambda maps, here: next(values))
    expected = torch.tensor([[[0.0, 0.0]], [[0.0, 0.5]]]).expand(2, 2, 1, 2)
    torch.testing.assert_close(found, expected)


def test_other_numbers_of_shifts_are_refused() -> None:
    with pytest.raises(ValueError, match=r"Expected \[1, 2, 4\] shifts, found 3"):
        EncodedSettings(shifts=3)
