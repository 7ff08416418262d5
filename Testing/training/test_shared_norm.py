"""A batch norm over several processes: with the sums of all it is torch's own of the whole batch."""

import pytest
import torch
from torch import Tensor, nn

from training.loop import processes, shared_norm
from training.loop.shared_norm import share_statistics


@pytest.mark.parametrize(
    ("norm", "shape"),
    [
        (nn.BatchNorm1d(3), (8, 3)),
        (nn.BatchNorm3d(3, momentum=0.3), (4, 3, 2, 3, 4)),
        (nn.BatchNorm2d(3, eps=1e-2, affine=False), (4, 3, 5, 2)),
        (nn.BatchNorm2d(3, momentum=None), (4, 3, 5, 2)),
        (nn.BatchNorm1d(3, track_running_stats=False), (8, 3)),
    ],
)
def test_two_that_see_the_same_are_one(
    norm: nn.Module, shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of two processes with half of a batch that holds everything twice."""
    ours = type(norm)(3, **{k: getattr(norm, k) for k in ("eps", "momentum", "affine")})
    ours.track_running_stats = norm.track_running_stats
    if not norm.track_running_stats:
        ours.running_mean = ours.running_var = ours.num_batches_tracked = None
    monkeypatch.setattr(processes, "count", lambda: 2)
    monkeypatch.setattr(processes, "total", lambda values: 2 * values)
    share_statistics(ours)
    for seed in range(3):
        half = torch.randn(shape, generator=torch.Generator().manual_seed(seed)) * 3 + 1
        first, second = half.clone().requires_grad_(), half.clone().requires_grad_()
        found, wanted = ours(first), norm(torch.cat([second, half]))
        torch.testing.assert_close(found, wanted[: len(half)], rtol=1e-4, atol=1e-5)
        weight = torch.randn(shape, generator=torch.Generator().manual_seed(9))
        (found * weight).sum().backward()
        (wanted * torch.cat([weight, weight])).sum().backward()
        assert first.grad is not None
        torch.testing.assert_close(first.grad, second.grad, rtol=1e-3, atol=1e-4)
        for (name, one), (_, other) in zip(
            ours.state_dict().items(), norm.state_dict().items(), strict=True
        ):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5, msg=name)
    ours.eval()
    norm.eval()
    if norm.track_running_stats:
        torch.testing.assert_close(ours(half), norm(half), rtol=1e-4, atol=1e-5)


def test_one_process_has_torchs_own(monkeypatch: pytest.MonkeyPatch) -> None:
    def unasked(*given: Tensor) -> None:
        raise AssertionError("one process has nobody to ask")

    monkeypatch.setattr(shared_norm, "_normalized", unasked)
    norm = nn.BatchNorm1d(3)
    share_statistics(norm)
    assert norm(torch.randn(4, 3)).shape == (4, 3)
