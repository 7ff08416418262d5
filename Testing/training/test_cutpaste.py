"""CutPaste: pieces come from the crop itself, embeddings are those of crops, it tells the kinds."""

from pathlib import Path

import numpy as np
import pytest
import torch

from ctscreener.preprocess import PreprocessSettings
from Testing.training.rivals import (
    LOOP,
    fit,
    losses,
    one_batch,
    one_scan,
    prepared,
    scores_of,
)
from training.baselines.cutpaste import (
    CutPasteSettings,
    box_sides,
    build,
    paste,
    scar_sides,
    three_kinds,
)
from training.data.chance import chances_of
from training.data.patches import PatchSettings

CPU = torch.device("cpu")

SETTINGS = CutPasteSettings(
    patches=PatchSettings(size=(8, 12, 12), count=4),
    channels=(8, 16),
    hidden=16,
    tile=(8, 24, 24),
    smooth=0.0,
    loop=LOOP,
)


def settings_for(folder: Path) -> CutPasteSettings:
    """Those of the tests of all rivals."""
    return SETTINGS


def test_it_learns_the_kinds_and_scores_the_body(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one_batch(monkeypatch)
    store = one_scan(tmp_path / "store")
    run = fit("cutpaste", SETTINGS, store, tmp_path / "run")
    assert losses(run, "three_way", "right")[-1] == 1
    scan = prepared(store)
    blocks = scan.body.reshape(8, 2, 10, 3, 10, 3).any(axis=(1, 3, 5))
    np.testing.assert_array_equal(np.isfinite(scores_of(run, scan)), blocks)


def test_a_piece_comes_from_the_crop_itself_and_fills_a_box() -> None:
    image = torch.rand(1, 10, 12, 14)
    chances = chances_of(0, CPU)
    for _ in range(10):
        changed = paste(image, (3, 4, 5), 0.0, chances)
        where = torch.nonzero(changed[0] != image[0])
        assert len(where) <= 60
        known = set(image.flatten().tolist())
        assert all(
            any(abs(v - k) < 1e-6 for k in known)
            for v in changed[0][changed[0] != image[0]].tolist()[:5]
        )
        span = where.max(dim=0).values - where.min(dim=0).values + 1
        assert (span <= torch.tensor([3, 4, 5])).all()


def test_boxes_cover_the_share_asked_for_and_scars_are_long_and_thin() -> None:
    chances, shape = chances_of(0, CPU), (24, 36, 36)
    shares = [np.prod(box_sides(shape, SETTINGS, chances)) / np.prod(shape) for _ in range(200)]
    assert 0.015 < min(shares) < 0.04
    assert 0.11 < max(shares) < 0.17
    for _ in range(50):
        thin, thick, long = sorted(scar_sides(shape, SETTINGS, chances))
        assert thin == thick <= 5
        assert 2.5 <= long / thick <= 6.5


def test_every_crop_is_shown_in_all_kinds() -> None:
    clean = torch.rand(3, 1, 8, 12, 12)
    crops, kinds = three_kinds(clean, SETTINGS, chances_of(0, CPU))
    assert kinds.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert torch.equal(crops[:3], clean)
    assert all((crops[3 * k + n] != clean[n]).any() for k in (1, 2) for n in range(3))


def test_the_embedding_of_a_window_is_that_of_its_crop() -> None:
    """As far as the crop sees what the window sees: its middle is one level's reach away."""
    torch.manual_seed(0)
    rival = build(SETTINGS, PreprocessSettings()).eval()
    x = torch.rand(1, 1, 8, 24, 24)
    features = rival.network(x)
    assert rival.window == [4, 6, 6]
    found = rival.embeddings(x)
    assert found.shape == (1, 4, 12, 12, 16)
    expected = features[0, :, 0:4, 2:8, 3:9].mean(dim=(1, 2, 3))
    torch.testing.assert_close(found[0, 1, 4, 5], expected)
    # At the border the mean is that of what is within.
    corner = features[0, :, 0:3, 0:4, 0:4].mean(dim=(1, 2, 3))
    torch.testing.assert_close(found[0, 0, 0, 0], corner)
    torch.testing.assert_close(rival.kinds(x), rival.head(features.mean(dim=(2, 3, 4))))
