"""A masking-invariant condition keeps what surrounds a voxel tells of it, and little else."""

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import avg_pool3d

from ctscreener.errors import InputError
from ctscreener.heads import GaussianSettings, Source
from training.fit_density import regression
from training.fit_invariant import (
    FitInvariantSettings,
    Projected,
    conditions_at,
    draw_pair,
    fit_invariant,
    leak_of,
    new_invariant,
)

SETTINGS = GaussianSettings((Source(1),), 2, invariant=8, invariant_hidden=16, reach=(1, 2))
FIT = FitInvariantSettings(
    steps=150, window=(6, 10, 10), shift=(1, 2, 2), voxels=64, rate=3e-3, width=32, projected=16
)
SHAPE = (8, 14, 14)


def scan(seed: int) -> Projected:
    """Two components: one that goes on from voxel to voxel, and one that does not."""
    numbers = torch.Generator().manual_seed(seed)
    wide = torch.randn(1, 1, *(n + 6 for n in SHAPE), generator=numbers)
    smooth = avg_pool3d(wide, 7, 1)[0, 0]
    z = torch.stack([smooth / smooth.std(), torch.randn(SHAPE, generator=numbers)])
    seen = torch.ones(3, *SHAPE)
    for share in seen[1:]:
        blocks = torch.rand(4, 7, 7, generator=numbers) < 0.5
        share[:] = blocks.repeat_interleave(2, 0).repeat_interleave(2, 1).repeat_interleave(2, 2)
    return Projected((z * seen[:, None]).half(), seen.half(), torch.ones(SHAPE, dtype=torch.bool))


def explained(c: torch.Tensor, z: torch.Tensor) -> float:
    """Share of the variance of `z`, `(n,)`, that is linear in `c`, `(n, k)`."""
    c = (c - c.mean(0)) / (c.std(0) + 1e-3)
    z = z - z.mean()
    left = z - c @ regression(z[:, None], c)[0]
    return 1 - float(left.var() / z.var())


def test_what_goes_on_is_kept_and_what_stands_alone_is_not() -> None:
    torch.manual_seed(0)
    made = fit_invariant([scan(seed) for seed in range(6)], SETTINGS, FIT, 0)
    new, start = [scan(10), scan(11)], new_invariant(SETTINGS)
    assert leak_of(made, new)["hidden"] < 0.7 * leak_of(start, new)["hidden"]
    z = torch.cat([some.z[0].float().flatten(1).T for some in new])
    c = torch.cat([made(some.z[:1].float())[0].flatten(1).T for some in new])
    goes_on, alone = (explained(c, z[:, number]) for number in (0, 1))
    assert goes_on > 0.5
    assert alone < 0.5 * goes_on


def test_both_windows_of_a_pair_show_the_same_voxels() -> None:
    grid = torch.stack(torch.meshgrid(*map(torch.arange, SHAPE), indexing="ij"))
    body = torch.zeros(SHAPE, dtype=torch.bool)
    body[2:6, 3:12, 2:9] = True
    same = Projected(torch.stack([grid] * 3).half(), torch.ones(3, *SHAPE), body)
    rng, shifted = np.random.default_rng(0), 0
    for _ in range(20):
        for first, second in draw_pair([same], FIT, rng):
            places = [some.z.flatten(1)[:, some.at] for some in (first, second)]
            assert torch.equal(*places)
            assert body[tuple(places[0].long())].all()
            shifted += not torch.equal(first.at, second.at)
    assert shifted > 10
    nowhere = replace(same, body=torch.zeros_like(body))
    assert not list(draw_pair([nowhere], FIT, rng))


def test_a_scan_smaller_than_a_window_is_one() -> None:
    small = scan(0)
    cut = Projected(small.z[:, :, :3, :4], small.seen[:, :3, :4], small.body[:3, :4])
    ((first, second),) = draw_pair([cut], FIT, np.random.default_rng(0))
    assert first.z.shape[1:] == (3, 4, 10)
    assert conditions_at(new_invariant(SETTINGS), second).shape == (64, 8)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[(name, 0) for name in ("steps", "pairs", "voxels", "width", "projected", "temperature")],
        *[("rate", float("nan")), ("window", (0, 4, 4)), ("shift", (-1, 0, 0))],
    ],
)
def test_what_would_learn_nothing_is_refused(name: str, value: Any) -> None:  # noqa: ANN401
    with pytest.raises(InputError, match=f"{name}={re.escape(str(value))}"):
        FitInvariantSettings(**{name: value})


@pytest.mark.parametrize("same", [True, False])
def test_a_seed_decides(same: bool) -> None:
    few = replace(FIT, steps=2)
    one, other = (fit_invariant([scan(0)], SETTINGS, few, s) for s in (0, 0 if same else 1))
    assert torch.equal(one.last.weight, other.last.weight) == same
