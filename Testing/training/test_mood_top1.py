"""MOOD-Top1: foreign patches lie where the mask says, edges are what they are called, it learns."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from Testing.training.rivals import (
    LOOP,
    learns_to_mark,
    one_batch,
)
from training.baselines.mood_top1 import (
    DeepSupervision,
    Marker,
    MoodSettings,
    put_in,
    seamless,
    with_anomalies,
)
from training.baselines.parts.encoder_decoder import EncoderDecoder
from training.baselines.parts.synthetic import ball_mask, draw_mask
from training.data.chance import chances_of
from training.data.patches import PatchSettings

SETTINGS = MoodSettings(
    patches=PatchSettings(size=(8, 16, 16), count=4),
    channels=(8, 16),
    heads=2,
    loop=LOOP,
)


def settings_for(folder: Path) -> MoodSettings:
    """Those of the tests of all rivals."""
    return SETTINGS


CPU = torch.device("cpu")


def test_it_learns_to_mark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one_batch(monkeypatch)
    assert isinstance(learns_to_mark("mood_top1", SETTINGS, tmp_path, {"mood.loss": 0.8}), Marker)


def test_anomalies_lie_in_the_body_where_the_mask_says_and_most_crops_have_one() -> None:
    clean = torch.rand(80, 1, 16, 16, 16)
    body = torch.zeros_like(clean, dtype=torch.bool)
    body[:, :, 2:-2, 2:-2, 2:-2] = True
    changed, mask = with_anomalies(clean, body, SETTINGS, chances_of(0, CPU))
    assert torch.equal(changed[~mask], clean[~mask])
    assert (changed[mask] != clean[mask]).float().mean() > 0.9
    assert not (mask & ~body).any()
    assert 0.75 < mask.flatten(1).any(dim=1).float().mean() <= 0.97
    assert 0 <= changed.min() <= changed.max() <= 1


def test_shapes_have_the_sizes_asked_for() -> None:
    chances = chances_of(0, CPU)
    for _ in range(50):
        mask = draw_mask(torch.Size((20, 30, 40)), SETTINGS.least, SETTINGS.largest, chances)
        sides = [len(index.unique()) for index in torch.nonzero(mask, as_tuple=True)]
        assert all(
            0 < side <= 0.6 * extent + 1 for side, extent in zip(sides, mask.shape, strict=True)
        )


def test_a_seamless_edge_meets_the_image_and_keeps_what_is_within() -> None:
    """What differs by a plane has no seam at all: the plane solves Laplace's equation."""
    d, h, w = torch.meshgrid(*(torch.arange(n).float() for n in (18, 20, 22)), indexing="ij")
    foreign = torch.rand(1, 18, 20, 22, generator=torch.Generator().manual_seed(0))
    image = foreign + 0.01 * (d - 2 * h + w)
    mask = ball_mask((18, 20, 22), (10, 10, 10), (4, 5, 6), CPU)
    torch.testing.assert_close(seamless(image, foreign, mask), image, atol=5e-3, rtol=0)
    # A constant shift vanishes, while a hard edge shows it.
    shifted = foreign + 0.3
    torch.testing.assert_close(seamless(shifted, foreign, mask), shifted, atol=1e-5, rtol=0)


def test_every_kind_of_edge_occurs() -> None:
    image, foreign = torch.zeros(1, 16, 16, 16), torch.ones(1, 16, 16, 16)
    mask = ball_mask((16, 16, 16), (11, 11, 11), (2, 2, 2), CPU)
    chances = chances_of(0, CPU)
    values = {
        tuple(put_in(image, foreign, mask, 1.0, chances)[0][mask].unique().tolist())
        for _ in range(30)
    }
    assert (1.0,) in values  # hard
    assert any(len(some) > 5 for some in values)  # soft
    assert any(max(some) < 0.01 for some in values)  # seamless: nothing of a constant is left


def test_the_loss_weighs_levels_by_halves() -> None:
    torch.manual_seed(0)
    network = EncoderDecoder(1, 1, (8, 16, 16), heads=3).eval()
    image = torch.rand(2, 1, 8, 8, 8)
    mask = torch.rand(2, 1, 8, 8, 8) < 0.3
    levels = network.levels(image)
    assert [tuple(one.shape[2:]) for one in levels] == [(8, 8, 8), (4, 4, 4), (2, 2, 2)]
    parts = [
        F.binary_cross_entropy_with_logits(
            one, F.avg_pool3d(mask.float(), 2**k) if k else mask.float()
        )
        for k, one in enumerate(levels)
    ]
    expected = (parts[0] + parts[1] / 2 + parts[2] / 4) / 1.75
    torch.testing.assert_close(DeepSupervision(network)(image, mask)["loss"], expected)
