"""A masking-invariant condition sees as far as it says, and no value is too large for it."""

import torch

from ctscreener.invariant import FARTHEST, Invariant


def network(reach: tuple[int, ...]) -> Invariant:
    torch.manual_seed(0)
    return Invariant(3, 8, reach, 4).double()


def test_a_voxel_depends_on_others_up_to_the_sum_of_its_reach() -> None:
    made = network((1, 2))
    z = torch.randn(1, 3, 9, 9, 9, dtype=torch.float64, requires_grad=True)
    made(z)[0, :, 4, 4, 4].sum().backward()
    assert z.grad is not None
    away = torch.stack(torch.meshgrid(*[(torch.arange(9) - 4).abs()] * 3, indexing="ij")).amax(0)
    near = z.grad.abs().sum((0, 1))
    assert (near[away > 3] == 0).all()
    assert all((near[away == step] > 0).any() for step in range(4))


def test_nothing_hidden_is_everything_seen() -> None:
    made, z = network((1,)), torch.randn(2, 3, 4, 5, 6, dtype=torch.float64)
    seen = torch.ones(2, 1, 4, 5, 6, dtype=torch.float64)
    torch.testing.assert_close(made(z), made(z, seen))
    assert not torch.allclose(made(z), made(z, seen - 1))


def test_metal_says_no_more_than_the_farthest_value() -> None:
    made, z = network((1,)), torch.randn(1, 3, 4, 5, 6, dtype=torch.float64)
    z[0, 1, 2, 2, 2] = FARTHEST
    there = made(z)
    z[0, 1, 2, 2, 2] = 1e30
    assert torch.equal(made(z), there)
    z[0, 1, 2, 2, 2] = float("nan")
    assert torch.isfinite(made(z)).all()
