"""A condition that says what to expect at a voxel, whatever is there.

A small network reads the principal components of the encoder's maps, up to some distance around
each voxel. It was trained to say the same of a voxel whether blocks of the image, the voxel among
them, were hidden or not: what can only be known from the voxel itself is left out (Goncharov et
al., arXiv 2502.08321, section 3.2). At screening nothing is hidden, so that it costs one pass.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

FARTHEST = 10.0
"""Components, of deviation 1, are cut off here: metal does not change what belongs around it."""


class Invariant(nn.Module):
    """A masking-invariant condition.

    Arguments:
        inputs: Principal components K.
        hidden: Channels of its layers.
        reach: Dilation of each 3x3x3 convolution; a voxel depends on others up to their sum.
        out: Channels of the condition.
    """

    def __init__(self, inputs: int, hidden: int, reach: tuple[int, ...], out: int) -> None:
        super().__init__()
        self.first = nn.Conv3d(inputs + 1, hidden, 1)
        self.blocks = nn.ModuleList(
            nn.Conv3d(hidden, hidden, 3, padding=step, dilation=step) for step in reach
        )
        self.last = nn.Conv3d(hidden, out, 1)

    def forward(self, z: Tensor, seen: Tensor | None = None) -> Tensor:
        """Say what to expect.

        Arguments:
            z: Principal components, `(B, K, d, h, w)`.
            seen: Share of each voxel that is not hidden, `(B, 1, d, h, w)`; None for all.

        Returns:
            `(B, out, d, h, w)`.

        Example:
            >>> Invariant(3, 4, (1, 2), 5)(torch.zeros(1, 3, 2, 6, 7)).shape
            torch.Size([1, 5, 2, 6, 7])
        """
        seen = torch.ones_like(z[:, :1]) if seen is None else seen
        known = z.nan_to_num(nan=0.0).clamp(-FARTHEST, FARTHEST)
        h = self.first(torch.cat([known, seen], 1))
        for block in self.blocks:
            h = h + block(F.relu(h))
        return self.last(F.relu(h))
