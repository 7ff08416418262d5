"""The heads give what their definitions say, computed the long way round."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from scipy.stats import multivariate_normal

from ctscreener import heads
from ctscreener.heads import (
    Discriminator,
    Gaussian,
    GaussianSettings,
    HeadSettings,
    Source,
    averaged,
    doubled,
    halved,
)
from Testing.engine.small_model import perturb

SOURCES = (
    Source(0),
    Source(1),
    Source(2),
    Source(1, cube=3),
    Source(0, cube=5),
    Source(0, half=True),
    Source(2, half=True),
)
CHANNELS = {s: 2 + s.stage for s in (*SOURCES, Source(1, half=True))}
SIZES = st.tuples(*[st.integers(1, 9)] * 3)


def maps_of(sources: Sequence[Source], size: Sequence[int]) -> dict[Source, torch.Tensor]:
    """Random maps of a scan whose finest has a size."""
    numbers = torch.Generator().manual_seed(4)
    return {
        s: torch.randn(1, CHANNELS[s], *halved(size, s.level), generator=numbers) for s in sources
    }


def at_finest(z: np.ndarray, level: int, size: Sequence[int]) -> np.ndarray:
    """A map `(C, d, h, w)` brought to the finest grid by scipy, `(C, *size)`."""
    places = np.indices(size) / 2**level
    return np.stack([ndimage.map_coordinates(c, places, order=1, mode="nearest") for c in z])


def mean_of_cube(z: np.ndarray, cube: int) -> np.ndarray:
    """The mean over what of a cube lies in a map `(C, d, h, w)`, by scipy."""
    total = [ndimage.uniform_filter(c, cube, mode="constant") for c in z]
    count = ndimage.uniform_filter(np.ones(z.shape[1:]), cube, mode="constant")
    return np.stack(total) / count


def features(
    maps: dict[Source, torch.Tensor], sources: Sequence[Source], size: Sequence[int]
) -> np.ndarray:
    """All channels on the finest grid side by side, `(C, *size)`, float64."""
    return np.concatenate(
        [
            at_finest(mean_of_cube(maps[s][0].double().numpy(), s.cube), s.level, size)
            for s in sources
        ]
    )


def discriminator(sources: Sequence[Source]) -> Discriminator:
    """One with random weights."""
    made = Discriminator(HeadSettings(tuple(sources), 5), CHANNELS)
    perturb(made, 0.5)
    return made.requires_grad_(False)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.sampled_from(SOURCES), min_size=1, unique=True),
    SIZES,
    st.sampled_from([1, 2, 3, 16]),
)
def test_a_discriminator_is_its_layers_on_all_features_brought_to_the_finest_grid(
    sources: list[Source], size: tuple[int, int, int], chunk: int
) -> None:
    made, maps = discriminator(sources), maps_of(sources, size)
    weight = torch.cat([made.inputs[s.name].weight[:, :, 0, 0, 0] for s in sources], 1)  # pyright: ignore[reportIndexIssue,reportArgumentType]
    hidden = np.einsum("kc,cdhw->kdhw", weight.numpy(), features(maps, sources, size))
    active = np.maximum(hidden + made.bias.numpy()[:, None, None, None], 0)
    expected = np.einsum("k,kdhw->dhw", made.out.numpy(), active) + made.out_bias.numpy()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(heads, "CHUNK", chunk)
        found = made(maps, size)
    assert found.dtype == torch.float32
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-4)


def test_a_discriminator_leaves_its_maps_as_they_were() -> None:
    maps = maps_of(SOURCES, (9, 8, 7))
    before = {source: z.clone() for source, z in maps.items()}
    made = discriminator(SOURCES)
    first = made(maps, (9, 8, 7))
    assert torch.equal(made(maps, (9, 8, 7)), first)
    assert all(torch.equal(maps[source], before[source]) for source in SOURCES)


@settings(max_examples=25, deadline=None)
@given(SIZES, st.sampled_from([1, 3, 5, 7]))
def test_averages_are_those_of_what_lies_in_the_map(size: tuple[int, int, int], cube: int) -> None:
    z = torch.randn(1, 2, *size, generator=torch.Generator().manual_seed(5))
    found = averaged(z, cube)
    assert found.shape == z.shape
    assert found.dtype == z.dtype
    expected = mean_of_cube(z[0].double().numpy(), cube)
    np.testing.assert_allclose(found[0].numpy(), expected, atol=1e-5)
    assert averaged(z.bfloat16(), cube).dtype == torch.bfloat16


@settings(max_examples=25, deadline=None)
@given(SIZES)
def test_doubling_interpolates_and_keeps_what_was_there(size: tuple[int, int, int]) -> None:
    z = torch.randn(1, 2, *halved(size, 1), generator=torch.Generator().manual_seed(6))
    found = doubled(z, size)
    assert found.shape == (1, 2, *size)
    torch.testing.assert_close(found[:, :, ::2, ::2, ::2], z, atol=1e-6, rtol=0)
    expected = at_finest(z[0].double().numpy(), 1, size)
    np.testing.assert_allclose(found[0].numpy(), expected, atol=1e-5)


@pytest.mark.parametrize("size", [(5, 4, 4), (2, 4, 4), (4, 4, 7)])
def test_a_map_that_is_not_half_as_large_is_refused(size: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="Expected half"):
        doubled(torch.zeros(1, 1, 2, 2, 2), size)


@pytest.mark.parametrize("source", [Source(0), Source(1), Source(1, cube=3), Source(1, half=True)])
def test_a_gaussian_gives_the_nll_of_scipy(source: Source) -> None:
    size, channels = (7, 6, 5), CHANNELS[source]
    rng = np.random.default_rng(7)
    mean, root = rng.normal(size=channels), rng.normal(size=(channels, channels))
    made = Gaussian(GaussianSettings((source,), channels), CHANNELS)
    whiten = np.linalg.inv(root)
    made.mean.copy_(torch.from_numpy(mean))
    made.whiten.copy_(torch.from_numpy(whiten))
    log_det = np.log(abs(np.linalg.det(root))) + 0.5 * channels * np.log(2 * np.pi)
    made.log_det.fill_(log_det)
    maps = maps_of([source], size)
    own = np.moveaxis(mean_of_cube(maps[source][0].double().numpy(), source.cube), 0, -1)
    nll = -multivariate_normal(mean, root @ root.T).logpdf(own).reshape(1, *own.shape[:3])
    expected = at_finest(nll, source.level, size)[0]
    np.testing.assert_allclose(made(maps, size).numpy(), expected, rtol=1e-4, atol=1e-3)


def test_a_gaussian_takes_several_maps_of_one_resolution() -> None:
    sources, size = (Source(1), Source(0, half=True)), (4, 4, 4)
    made = Gaussian(GaussianSettings(sources, 2), CHANNELS)
    made.whiten.copy_(torch.randn(2, 5, generator=torch.Generator().manual_seed(8)))
    maps = maps_of(sources, size)
    z = np.einsum("kc,cdhw->kdhw", made.whiten.numpy(), features(maps, sources, size))
    np.testing.assert_allclose(
        made(maps, size).numpy()[::2, ::2, ::2], 0.5 * (z**2).sum(0)[::2, ::2, ::2], rtol=1e-4
    )
    with pytest.raises(ValueError, match="one resolution"):
        Gaussian(GaussianSettings((Source(0), Source(1)), 2), CHANNELS)


@pytest.mark.parametrize(
    "wrong", [{"stage": -1}, {"stage": 0, "cube": 0}, {"stage": 0, "cube": 2}]
)
def test_a_source_that_cannot_be_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="Expected a stage"):
        Source(**wrong)


def test_sources_have_names_of_their_own() -> None:
    assert len({source.name for source in SOURCES}) == len(SOURCES)


def test_a_discriminator_that_reads_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one map"):
        HeadSettings(())
