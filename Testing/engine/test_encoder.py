"""The encoder gives the same maps slab by slab as in one go, where its strides say they lie."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ctscreener.encoder import Encoder, EncoderSettings, slabs
from Testing.engine.small_encoded import small_encoder


def image(*shape: int) -> torch.Tensor:
    """A random image."""
    return torch.rand(1, 1, *shape, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize("blocks", [1, 3, 5])
@pytest.mark.parametrize("slices", [1, 2, 40, 47])
def test_slabs_of_any_depth_give_the_map_of_the_whole(blocks: int, slices: int) -> None:
    encoder = small_encoder(EncoderSettings((2,), (blocks,)))
    x = image(slices, 5, 6)
    whole = encoder.first(x)
    assert whole.std() > 0.01
    for depth in (1, 3, 8, 100):
        torch.testing.assert_close(encoder.first_in_slabs(x, depth), whole, atol=1e-5, rtol=0)


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 90), st.integers(1, 40), st.integers(0, 8))
def test_slabs_keep_each_slice_of_the_map_once(slices: int, depth: int, halo: int) -> None:
    total, found = -(-slices // 2), list[int]()
    for seen, kept in slabs(slices, depth, halo):
        assert 0 <= seen.start < seen.stop <= slices
        assert seen.start % 2 == 0
        first = seen.start // 2
        found += range(first + kept.start, first + kept.stop)
        # A slab sees `halo` slices of the map more on either side, as far as there are any.
        assert min(kept.start, halo) == min(halo, first + kept.start)
        assert seen.stop == min(slices, 2 * min(total, first + kept.stop + halo))
    assert found == list(range(total))


def test_memory_is_that_of_a_slab() -> None:
    encoder, shown = small_encoder(), []
    encoder.stages[0].register_forward_pre_hook(lambda _, x: shown.append(x[0].shape[2]))
    encoder.first_in_slabs(image(200, 4, 4), 6)
    assert len(shown) == 17
    assert max(shown) == 6 + 2 * 4


@pytest.mark.parametrize("shape", [(17, 33, 33), (1, 1, 1), (12, 24, 31)])
def test_maps_are_as_large_as_their_strides_say(shape: tuple[int, int, int]) -> None:
    encoder = small_encoder(EncoderSettings((1, 2, 3), (1, 1, 1)))
    maps = encoder(image(*shape))
    for z, channels, stride in zip(
        maps, encoder.settings.channels, encoder.settings.strides, strict=True
    ):
        size = [-(-n // unit) for n, unit in zip(shape, stride, strict=True)]
        assert z.shape == (1, channels, *size)


def test_a_voxel_of_a_map_lies_at_its_stride() -> None:
    """Symmetric kernels: an impulse at voxel `k * stride` is answered symmetrically around k."""
    encoder = Encoder(EncoderSettings((1, 1), (1, 1)))
    with torch.no_grad():
        for name, parameter in encoder.named_parameters():
            parameter.fill_(0.0 if name.endswith("bias") else 1.0)
    for number, stride in enumerate(encoder.settings.strides):
        x = torch.zeros(1, 1, *(10 * unit + 1 for unit in stride))
        x[0, 0, *(5 * unit for unit in stride)] = 1
        answer = encoder(x)[number][0].sum(0).double()
        assert answer.shape == (11, 11, 11)
        for axis in range(3):
            torch.testing.assert_close(answer.flip(axis), answer)
            line = answer.sum([other for other in range(3) if other != axis])
            assert line[0] == line[-1] == 0
            assert (line * torch.arange(11)).sum() / line.sum() == 5


def test_every_parameter_is_used() -> None:
    encoder = small_encoder().requires_grad_(True)
    encoder(image(9, 16, 17))[-1].square().sum().backward()
    for name, parameter in encoder.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


@pytest.mark.parametrize(
    ("widths", "blocks"), [((), ()), ((2,), (1, 1)), ((2, 0), (1, 1)), ((2,), (0,))]
)
def test_sizes_that_do_not_match_are_refused(
    widths: tuple[int, ...], blocks: tuple[int, ...]
) -> None:
    with pytest.raises(ValueError, match="Expected a width"):
        EncoderSettings(widths, blocks)
