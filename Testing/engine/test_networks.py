"""The three ways to read a UNet agree with each other and with plain torch."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from ctscreener.networks import NetworkSettings, UNet, VoxelNorm, pooling_matrix, repeated
from Testing.engine.small_model import perturb
from Testing.engine.valueless_card import CARD, Traffic, card

STEMS = [(1, 1, 1), (2, 2, 2), (2, 3, 3), (1, 2, 2)]
POOL = (2, 3, 3)


def network(stem: tuple[int, int, int] = (1, 1, 1), **sizes: object) -> UNet:
    """A network in which no weight is zero."""
    made = UNet(NetworkSettings(**{"channels": (8, 16), "out": 5, "stem": stem, **sizes}))  # pyright: ignore[reportArgumentType]
    perturb(made, 0.1)
    return made


def image(*shape: int, inputs: int = 1) -> torch.Tensor:
    """Two random images."""
    return torch.rand(2, inputs, *shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("stem", STEMS)
def test_at_equals_dense_at_every_voxel_centre(stem: tuple[int, int, int]) -> None:
    unet, x = network(stem), image(8, 12, 24)
    index = torch.cartesian_prod(*(torch.arange(n) for n in x.shape[2:]))
    dense = unet.dense(x)
    assert dense.shape == (2, 5, 8, 12, 24)
    at = unet.at(x, index.float().expand(2, -1, -1))
    torch.testing.assert_close(at, dense.flatten(2).transpose(1, 2), atol=1e-5, rtol=1e-5)


def test_each_image_is_read_at_its_own_positions() -> None:
    unet, x = network(), image(8, 12, 24)
    positions = 5 * torch.rand(2, 7, 3)
    alone = torch.cat([unet.at(x[i : i + 1], positions[i : i + 1]) for i in range(2)])
    torch.testing.assert_close(unet.at(x, positions), alone, atol=1e-5, rtol=1e-5)


def test_between_centres_one_level_at_full_resolution_is_read_as_grid_sample_would() -> None:
    unet, x = network(channels=(8,)), image(4, 6, 8)
    positions = torch.rand(2, 50, 3) * torch.tensor([4.0, 6.0, 8.0]) - 0.5
    ends = torch.tensor([3.0, 5.0, 7.0])
    grid = (2 * positions.clamp(torch.zeros(3), ends) / ends - 1).flip(-1)[:, :, None, None]
    expected = F.grid_sample(unet.dense(x), grid, align_corners=True)[..., 0, 0].transpose(1, 2)
    torch.testing.assert_close(unet.at(x, positions), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("stem", STEMS)
@pytest.mark.parametrize("pool", [POOL, (1, 1, 1), (4, 2, 6)])
def test_pooled_is_the_average_of_dense(
    stem: tuple[int, int, int], pool: tuple[int, int, int]
) -> None:
    unet, x = network(stem), image(8, 12, 24)
    expected = F.avg_pool3d(unet.dense(x), pool)
    torch.testing.assert_close(unet.pooled(x, pool), expected, atol=1e-5, rtol=1e-5)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 9), st.integers(1, 6), st.integers(1, 6), st.integers(1, 4))
def test_pooling_a_line_is_interpolation_then_averages(
    level: int, scale: int, blocks: int, stride: int
) -> None:
    full = level * scale * blocks * stride
    line = torch.randn(1, 1, level)
    expected = F.avg_pool1d(F.interpolate(line, full, mode="linear"), stride)[0, 0]
    torch.testing.assert_close(pooling_matrix(level, full, stride) @ line[0, 0], expected)


def test_pooling_keeps_float32_while_the_networks_run_in_bfloat16() -> None:
    unet, x = network(), image(8, 12, 24)
    with torch.autocast("cpu", torch.bfloat16):
        pooled, dense = unet.pooled(x, POOL), unet.dense(x)
    assert pooled.dtype == torch.float32
    torch.testing.assert_close(pooled, F.avg_pool3d(dense, POOL), atol=1e-5, rtol=1e-5)


def test_scoring_first_does_not_spoil_training_later() -> None:
    unet, x = network(), image(8, 12, 24)
    pooling_matrix.cache_clear()
    try:
        with torch.inference_mode():
            unet.pooled(x, POOL)
        unet.pooled(x, POOL).sum().backward()
    finally:
        pooling_matrix.cache_clear()


@pytest.mark.parametrize("stem", STEMS)
def test_every_parameter_is_used(stem: tuple[int, int, int]) -> None:
    unet = network(stem, blocks=2, channels=(8, 16, 24), inputs=2)
    x = image(16, 24, 24, inputs=2)
    unet.at(x, 15 * torch.rand(2, 40, 3)).square().sum().backward()
    for name, parameter in unet.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


@pytest.mark.parametrize("shape", [(8, 12, 20), (6, 12, 24), (8, 9, 24)])
def test_an_image_that_cannot_be_halved_is_refused(shape: tuple[int, int, int]) -> None:
    unet = network((2, 3, 3))
    assert unet.settings.stride == (4, 6, 6)
    with pytest.raises(ValueError, match=r"multiples of \(4, 6, 6\)"):
        unet.dense(image(*shape))


def test_a_pooling_that_does_not_divide_the_image_is_refused() -> None:
    with pytest.raises(ValueError, match="got 3 for 8"):
        network().pooled(image(8, 12, 24), (3, 3, 3))


def test_a_network_with_the_norm_of_voxels_reads_alike_everywhere() -> None:
    unet, x = network((1, 2, 2), norm="voxel"), image(8, 12, 24)
    dense = unet.dense(x)
    index = torch.cartesian_prod(*(torch.arange(n) for n in x.shape[2:]))
    at = unet.at(x, index.float().expand(2, -1, -1))
    torch.testing.assert_close(at, dense.flatten(2).transpose(1, 2), atol=1e-5, rtol=1e-5)
    pooled = F.avg_pool3d(dense, POOL, POOL)
    torch.testing.assert_close(unet.pooled(x, POOL), pooled, atol=1e-5, rtol=1e-5)


def test_the_norm_of_voxels_leaves_the_precision_and_evens_the_channels() -> None:
    norm = VoxelNorm(16)
    x = 5 + 3 * torch.randn(2, 16, 3, 4, 5, generator=torch.Generator().manual_seed(0))
    with torch.autocast("cpu", torch.bfloat16):
        y = norm(x.bfloat16())
    assert y.dtype == torch.bfloat16
    torch.testing.assert_close(y.float().mean(1), torch.zeros(2, 3, 4, 5), atol=0.02, rtol=0)
    torch.testing.assert_close(
        y.float().var(1, correction=0), torch.ones(2, 3, 4, 5), atol=0.03, rtol=0
    )


@pytest.mark.parametrize("order", [torch.contiguous_format, torch.channels_last_3d])
def test_repeated_voxels_are_those_of_interpolate(order: torch.memory_format) -> None:
    x = torch.rand(2, 3, 2, 3, 4).contiguous(memory_format=order)
    assert torch.equal(repeated(x), F.interpolate(x, scale_factor=2, mode="nearest"))
    assert repeated(x).is_contiguous(memory_format=torch.channels_last_3d)


@pytest.mark.parametrize(("norm", "most"), [("voxel", 3), ("group", 10)])
def test_with_channels_last_the_norm_of_voxels_reorders_nothing(
    norm: str, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is copied is what is repeated, at each of two levels, and one map of the way back."""
    unet = UNet(NetworkSettings((16, 32, 64), 1, (1, 2, 2), 4, norm=norm))  # pyright: ignore[reportArgumentType]
    unet.to(CARD, memory_format=torch.channels_last_3d)  # pyright: ignore[reportCallIssue]
    with card(monkeypatch), Traffic() as traffic:
        maps = unet.features(torch.empty(2, 1, 16, 32, 32, device=CARD))
        torch.stack([part.sum() for part in maps]).sum().backward()
    assert traffic.kernels["aten.clone.default"] == most
