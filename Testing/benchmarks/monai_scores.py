"""MONAI's sliding window on the networks of a model: what the engine is compared with."""

from functools import partial
from typing import Any

import numpy as np

OVERLAP = 0.5


def monai_scores(prepared: Any, networks: Any) -> tuple[np.ndarray, int]:  # noqa: ANN401
    """Scores at full resolution by MONAI's sliding window, NaN outside of the body.

    Returns:
        nll in nats, `(D, H, W)`, in the shape of the prepared image; and the number of tiles.
    """
    import torch
    from monai.inferers.utils import sliding_window_inference
    from torch.nn import functional

    from ctscreener.conditions import tile_positions
    from ctscreener.tiled import padded, pooled_mask
    from ctscreener.tiles import pooled as on_pooled_grid
    from ctscreener.tiles import weights

    model, tiles, shape = networks.settings, 0, prepared.image.shape
    # The engine's own padding: MONAI would centre a scan that is shorter than a tile.
    image, body = padded(prepared, model)
    inside = pooled_mask(body, model.pool)
    plain = networks.nll if model.student else partial(plain_nll, networks)

    def predict(x: torch.Tensor, where: list[list[slice]]) -> torch.Tensor:
        nonlocal tiles
        tiles += len(where)
        box = (where[0][2], where[0][3], where[0][4])
        start = tuple(side.start for side in box)
        seen = torch.from_numpy(inside[on_pooled_grid(box, model.pool)].copy())[None]
        positions = tile_positions(start, model.tile, shape, model.pool)[None]
        nll = plain(x, positions, seen)
        return functional.interpolate(nll[:, None], scale_factor=model.pool, mode="nearest")

    x = torch.from_numpy(image)[None, None].float() / 255
    d, h, w = (side // unit for side, unit in zip(model.tile, model.pool, strict=True))
    weight = brought_up(weights((d, h, w)), model.pool)
    with torch.inference_mode():
        nll = sliding_window_inference(
            x,
            model.tile,
            1,
            predict,
            OVERLAP,
            with_coord=True,
            roi_weight_map=torch.from_numpy(weight).float(),
        )
    inside = brought_up(inside, model.pool)
    scores = np.where(inside, np.asarray(nll)[0, 0], np.float32("nan"))
    return scores[: shape[0], : shape[1], : shape[2]], tiles


def plain_nll(networks: Any, x: Any, positions: Any, seen: Any) -> Any:  # noqa: ANN401
    """Scores of a tile by three networks at full resolution, also outside of the body."""
    import torch
    from torch.nn import functional

    from ctscreener.conditions import anatomical, shell_mean, sincos

    model, condition = networks.settings, networks.condition
    y = functional.avg_pool3d(networks.descriptor.dense(x), model.pool)
    parts = [x.new_zeros(1, 0, *y.shape[2:])]
    if model.condition.sincos:
        parts.append(sincos(positions, model.condition.sincos))
    visible = torch.cat([x, torch.ones_like(x)], dim=1)
    if condition.learned:
        c = functional.avg_pool3d(condition.learned.dense(visible), model.pool)
        shell = model.condition.learned_shell
        parts.append(shell_mean(c, seen, shell) if shell else c)
    parts += [shell_mean(y, seen, shell) for shell in model.condition.surround]
    if condition.ape:
        logits = functional.avg_pool3d(condition.ape.dense(visible), model.pool)
        parts.append(anatomical(logits, model.condition.ape_frequencies))
    everywhere = torch.ones(1, *y.shape[2:], dtype=torch.bool)
    return networks.density(y, torch.cat(parts, dim=1), everywhere)


def pooled(nll: np.ndarray, pool: tuple[int, int, int]) -> np.ndarray:
    """The score of each block, of which all voxels have the same: that of its first."""
    return nll[:: pool[0], :: pool[1], :: pool[2]]


def brought_up(blocks: np.ndarray, pool: tuple[int, int, int]) -> np.ndarray:
    """What holds for blocks, for each of their voxels."""
    for axis, unit in enumerate(pool):
        blocks = blocks.repeat(unit, axis)
    return blocks
