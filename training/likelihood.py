"""What a density is fitted by: the likelihood of noisy, standardized descriptors.

As in the paper (appendix D), noise is added to descriptors and conditions. Both are standardized
first, by what they are over the tiles that are trained on.
"""

import torch
from torch import Tensor, nn

from ctscreener.model import Networks
from training.data.cache import Cache, Draw


class Likelihood(nn.Module):
    """The density as an objective: the mean nll of noisy, standardized descriptors.

    Arguments:
        networks: The model, of which the density is trained.
    """

    def __init__(self, networks: Networks) -> None:
        super().__init__()
        self.density = networks.density

    def forward(self, y: Tensor, c: Tensor, where: Tensor) -> dict[str, Tensor]:
        """Score standardized maps `(m, C, D, H, W)` at the voxels of `where`."""
        nll = self.density.rows(y, c, where)
        return {"loss": nll.mean(), "deviation": nll.detach().std()}


def standardize(networks: Networks, cache: Cache) -> None:
    """Store mean and deviation of descriptors and conditions over the body."""
    density = networks.density
    for maps, mean, std in (
        (cache.y, density.y_mean, density.y_std),
        (cache.c, density.c_mean, density.c_std),
    ):
        if maps.shape[1]:
            # One tile at a time: all of them in float32 would not fit.
            sums = torch.zeros(3, maps.shape[1], dtype=torch.float64)
            for values, where in zip(maps, cache.where, strict=True):
                rows = values.movedim(0, -1)[where].double()
                sums += torch.stack(
                    [torch.full_like(mean, len(rows)).double(), rows.sum(0), rows.square().sum(0)]
                )
            mean.copy_(sums[1] / sums[0])
            std.copy_((sums[2] / sums[0] - (sums[1] / sums[0]) ** 2).clamp_min(1e-12).sqrt())


def noisy(
    networks: Networks, drawn: Draw, noise: float, device: torch.device
) -> tuple[Tensor, Tensor, Tensor]:
    """Standardized descriptors and conditions of a step, with noise (paper, appendix D)."""
    generator = torch.Generator(device).manual_seed(drawn.seed)
    density = networks.density.to(device)
    y = density.standardize_y(drawn.y.to(device).float())
    c = density.standardize_c(drawn.c.to(device).float())
    y = y + noise * torch.randn(y.shape, generator=generator, device=device)
    c = c + noise * torch.randn(c.shape, generator=generator, device=device)
    return y, c, drawn.where.to(device)


@torch.inference_mode()
def watch(networks: Networks, cache: Cache) -> dict[str, float]:
    """Mean nll of held-out tiles, without noise, and over how many voxels."""
    device = networks.density.y_mean.device
    nll = torch.cat(
        [
            networks.density(*(part[None].to(device) for part in (y.float(), c.float(), where)))[
                where[None].to(device)
            ].cpu()
            for y, c, where in zip(cache.y, cache.c, cache.where, strict=True)
        ]
    )
    return {"nll": nll.mean().item(), "voxels": len(nll)}
