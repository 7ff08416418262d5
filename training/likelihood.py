"""What a density is fitted by: the likelihood of noisy, standardized descriptors.

As in the paper (appendix D), noise is added to descriptors and conditions. Both are standardized
first, by what they are over the tiles that are trained on.
"""

import torch
from torch import Tensor, nn

from ctscreener.model import Networks
from training.data.cache import Cache, on_device
from training.data.chance import generator_of
from training.data.parcel import Parcel


class Likelihood(nn.Module):
    """The density as an objective: the mean nll of noisy, standardized descriptors.

    Arguments:
        networks: The model, of which the density is trained.
    """

    def __init__(self, networks: Networks) -> None:
        super().__init__()
        self.density = networks.density

    def forward(self, y: Tensor, c: Tensor, where: Tensor) -> dict[str, Tensor]:
        """Score standardized maps `(m, C, D, H, W)` at the voxels of `where`, see `rows`."""
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
            sums = torch.zeros(3, maps.shape[1], dtype=torch.float64, device=maps.device)
            for values, where in zip(maps, cache.where, strict=True):
                rows = values.movedim(0, -1)[where.to(maps.device)].double()
                many = torch.full_like(rows[0], len(rows))
                sums += torch.stack([many, rows.sum(0), rows.square().sum(0)])
            sums = sums.cpu()
            mean.copy_(sums[1] / sums[0])
            std.copy_((sums[2] / sums[0] - (sums[1] / sums[0]) ** 2).clamp_min(1e-12).sqrt())


def noisy(
    networks: Networks, parcel: Parcel, cache: Cache, noise: float, device: torch.device
) -> tuple[Tensor, Tensor, Tensor]:
    """Standardized descriptors and conditions of a step, with noise (paper, appendix D).

    Arguments:
        networks: What standardizes.
        parcel: What was drawn, see `Draw.parcel`.
        cache: What it was drawn from.
        noise: Standard deviation of the noise.
        device: Where to.

    Returns:
        Maps `(m, C, D, H, W)` of both, and the numbers of the voxels to score, `(P,)`.
    """
    generator = generator_of(parcel.facts["seed"], device)
    density = networks.density.to(device)
    y, c, numbers = on_device(parcel, cache, device)
    y, c = density.standardize_y(y.float()), density.standardize_c(c.float())
    y = y + noise * torch.randn(y.shape, generator=generator, device=device)
    c = c + noise * torch.randn(c.shape, generator=generator, device=device)
    return y, c, numbers


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
