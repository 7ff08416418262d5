"""A condition says where a voxel lies in the whole scan, whichever tile it is read from."""

import math
from dataclasses import replace

import pytest
import torch

from ctscreener.conditions import Condition, ConditionSettings, shell_mean, sincos, tile_positions
from ctscreener.networks import NetworkSettings
from ctscreener.settings import from_json, to_json
from Testing.engine.small_model import perturb

POOL = (2, 3, 3)
SIZE = (8, 12, 12)
SHAPE = (20, 30, 36)
LEARNED = NetworkSettings(channels=(8,), out=3, inputs=2)


def tile(start: tuple[int, int, int]) -> torch.Tensor:
    """Positions of a tile of the scan."""
    return tile_positions(start, SIZE, SHAPE, POOL)


def test_overlapping_tiles_agree_on_the_voxels_they_share() -> None:
    one, other = tile((4, 6, 9)), tile((8, 9, 15))
    assert one.shape == (3, 4, 4, 4)
    torch.testing.assert_close(one[:, 2:, 1:, 2:], other[:, :2, :3, :2], rtol=0, atol=1e-7)


def test_positions_are_the_centres_of_the_pooled_voxels() -> None:
    d, h, w = tile((4, 6, 9))[:, 1, 2, 3]
    voxels = [torch.arange(6, 8), torch.arange(12, 15), torch.arange(18, 21)]
    for share, inside, extent in zip((d, h, w), voxels, SHAPE, strict=True):
        assert share == pytest.approx((inside + 0.5).mean().item() / extent)


def test_a_scan_of_one_tile_is_symmetric_and_stays_within_0_and_1() -> None:
    whole = tile_positions((0, 0, 0), SIZE, SIZE, POOL)
    assert 0 < whole.min() < whole.max() < 1
    torch.testing.assert_close(whole, 1 - whole.flip(1, 2, 3))


def test_sines_and_cosines_have_wavelengths_of_2_1_and_a_half() -> None:
    shares = torch.linspace(0, 1, 101)
    encoded = sincos(shares.expand(1, 3, -1), 3)[0]
    assert encoded.shape == (18, 101)
    for wave, length in enumerate((2, 1, 0.5)):
        turns = 2 * math.pi * shares / length
        for axis in range(3):
            torch.testing.assert_close(encoded[6 * wave + axis], turns.sin(), atol=1e-5, rtol=0)
            torch.testing.assert_close(
                encoded[6 * wave + 3 + axis], turns.cos(), atol=1e-5, rtol=0
            )


@pytest.mark.parametrize(
    ("settings", "channels"),
    [
        (ConditionSettings(), 0),
        (ConditionSettings(sincos=2), 12),
        (ConditionSettings(learned=LEARNED), 3),
        (ConditionSettings(sincos=1, learned=LEARNED), 9),
        (ConditionSettings(learned=LEARNED, learned_shell=(0, 1), surround=((1, 2), (0, 1))), 7),
    ],
)
def test_channels_are_as_many_as_the_settings_say(
    settings: ConditionSettings, channels: int
) -> None:
    positions = tile((0, 0, 0)).expand(2, -1, -1, -1, -1)
    x, y, where = torch.rand(2, 1, *SIZE), torch.rand(2, 2, 4, 4, 4), torch.rand(2, 4, 4, 4) > 0.3
    c = Condition(settings).pooled(x, y, positions, where, POOL)
    assert settings.channels(2) == channels
    assert c.shape == (2, channels, 4, 4, 4)


def test_position_comes_first_and_the_learned_part_sees_the_whole_image() -> None:
    condition = Condition(ConditionSettings(sincos=1, learned=LEARNED))
    perturb(condition, 0.1)
    assert condition.learned is not None
    x, positions = torch.rand(1, 1, *SIZE), tile((4, 6, 9))[None]
    y, where = torch.rand(1, 2, 4, 4, 4), torch.ones(1, 4, 4, 4, dtype=torch.bool)
    c = condition.pooled(x, y, positions, where, POOL)
    torch.testing.assert_close(c[:, :6], sincos(positions, 1))
    visible = torch.cat([x, torch.ones_like(x)], dim=1)
    torch.testing.assert_close(c[:, 6:], condition.learned.pooled(visible, POOL))


@pytest.mark.parametrize("shell", [(0, 1), (1, 3), (2, 9)])
def test_a_shell_mean_is_the_mean_over_the_shells_body(shell: tuple[int, int]) -> None:
    maps, where = torch.rand(1, 2, 6, 7, 8), torch.rand(1, 6, 7, 8) > 0.4
    found = shell_mean(maps, where, shell)
    at = torch.stack(torch.meshgrid(*map(torch.arange, (6, 7, 8)), indexing="ij"), -1)
    for voxel in ((0, 0, 0), (3, 3, 4), (5, 6, 7)):
        away = (at - torch.tensor(voxel)).abs().amax(-1)
        inside = (away > shell[0]) & (away <= shell[1]) & where[0]
        expected = maps[0][:, inside].sum(-1) / max(1, int(inside.sum()))
        torch.testing.assert_close(found[0, :, *voxel], expected, rtol=1e-4, atol=1e-5)


def test_a_shell_mean_does_not_see_what_it_leaves_out() -> None:
    maps, where = torch.rand(1, 1, 9, 9, 9), torch.ones(1, 9, 9, 9, dtype=torch.bool)
    other = maps.clone()
    other[:, :, 3:6, 3:6, 3:6] = 50.0
    one, two = (shell_mean(m, where, (1, 3))[0, 0] for m in (maps, other))
    assert one[4, 4, 4] == pytest.approx(two[4, 4, 4].item(), rel=1e-4)
    assert abs(one[4, 4, 6] - two[4, 4, 6]) > 1


def test_a_condition_reads_shells_where_it_is_told_to() -> None:
    settings = ConditionSettings(learned=LEARNED, learned_shell=(0, 2), surround=((1, 2), (0, 3)))
    condition = Condition(settings)
    perturb(condition, 0.1)
    assert condition.learned is not None
    x, y, where = torch.rand(1, 1, *SIZE), torch.rand(1, 2, 4, 4, 4), torch.rand(1, 4, 4, 4) > 0.3
    c = condition.pooled(x, y, tile((0, 0, 0))[None], where, POOL)
    learned = condition.learned.pooled(torch.cat([x, torch.ones_like(x)], dim=1), POOL)
    torch.testing.assert_close(c[:, :3], shell_mean(learned, where, (0, 2)))
    torch.testing.assert_close(c[:, 3:5], shell_mean(y, where, (1, 2)))
    torch.testing.assert_close(c[:, 5:], shell_mean(y, where, (0, 3)))


def test_anatomical_positions_are_encoded_and_read_off_the_whole_image() -> None:
    settings = ConditionSettings(learned=LEARNED, ape=replace(LEARNED, out=3), ape_frequencies=2)
    condition = Condition(settings)
    perturb(condition, 0.1)
    assert condition.ape is not None
    x, y, where = torch.rand(1, 1, *SIZE), torch.rand(1, 2, 4, 4, 4), torch.rand(1, 4, 4, 4) > 0.3
    c = condition.pooled(x, y, tile((0, 0, 0))[None], where, POOL)
    assert settings.channels(2) == c.shape[1] == 3 + 12
    logits = condition.ape.pooled(torch.cat([x, torch.ones_like(x)], dim=1), POOL)
    torch.testing.assert_close(c[:, 3:], sincos(logits.sigmoid(), 2))
    assert c[:, 3:].std() > 0.01


def test_anatomical_positions_have_three_axes_and_see_the_mask() -> None:
    with pytest.raises(ValueError, match="expected out=3, found 4"):
        Condition(ConditionSettings(ape=replace(LEARNED, out=4)))
    with pytest.raises(ValueError, match="expected inputs=2, found 1"):
        Condition(ConditionSettings(ape=replace(LEARNED, out=3, inputs=1)))


def test_settings_of_before_anatomical_positions_are_read_without_them() -> None:
    data = to_json(ConditionSettings(sincos=2, learned=LEARNED))
    for name in ("ape", "ape_frequencies"):
        del data[name]
    assert from_json(ConditionSettings, data) == ConditionSettings(sincos=2, learned=LEARNED)


def test_a_learned_condition_without_a_mask_channel_is_refused() -> None:
    with pytest.raises(ValueError, match="expected inputs=2, found 1"):
        Condition(ConditionSettings(learned=NetworkSettings(inputs=1)))
