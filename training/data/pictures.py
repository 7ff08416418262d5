"""Pictures of what a network sees in a step, for TensorBoard."""

import numpy as np
import torch
from torch import Tensor

COLUMNS = 4
"""Pairs of crops in one picture."""
MARKED = (255, 80, 0)
"""Colour of voxels that both views hold."""
HIDDEN = (40, 60, 160)
"""Colour of what a mask hides."""


def crop_pictures(batch: tuple[Tensor, ...]) -> dict[str, np.ndarray]:
    """Draw the middle slices of the first pairs, first views above second ones.

    Voxels that are compared and lie within a slice of the middle are marked; what is hidden from
    a network with a mask is blue.

    Arguments:
        batch: Images `(2m, C, D, H, W)`, the second channel a mask, places `(2m, n, 3)`, and
            whatever else a stage has.

    Returns:
        `crops`, uint8, `(2H, COLUMNS * W, 3)`.
    """
    images, places = batch[0].detach().cpu(), batch[1].detach().cpu()
    half = len(images) // 2
    rows = [
        torch.cat([_slice(images[k], places[k]) for k in range(first, first + shown)], dim=1)
        for first, shown in ((0, min(half, COLUMNS)), (half, min(half, COLUMNS)))
    ]
    return {"crops": torch.cat(rows).numpy()}


def _slice(image: Tensor, places: Tensor) -> Tensor:
    """One crop's middle slice, uint8, `(H, W, 3)`."""
    middle = image.shape[1] // 2
    grey = (image[0, middle].clamp(0, 1) * 255).to(torch.uint8)
    picture = grey[..., None].repeat(1, 1, 3)
    if len(image) > 1:
        picture[image[1, middle] == 0] = torch.tensor(HIDDEN, dtype=torch.uint8)
    d, h, w = places.round().long().unbind(-1)
    near = (d - middle).abs() <= 1
    last_h, last_w = picture.shape[0] - 1, picture.shape[1] - 1
    picture[h[near].clamp(0, last_h), w[near].clamp(0, last_w)] = torch.tensor(
        MARKED, dtype=torch.uint8
    )
    return picture
