"""Views of scans with blocks hidden: what is hidden, what is kept."""

from pathlib import Path

import numpy as np
import pytest
import torch

from ctscreener.encoded import PLAIN
from ctscreener.errors import InputError
from ctscreener.heads import GaussianSettings, Source, averaged
from Testing.training.plain_store import make_plain_store, write_encoder
from training.data import masked_views
from training.data.masked_views import ViewSettings, draw_views_of, kept_views
from training.data.masking import MaskSettings
from training.data.rows import describe
from training.data.store import Store
from training.encoder import load_encoder

MAPS = (Source(1), Source(1, cube=3))
DENSITY = GaussianSettings(MAPS, 4)
SETTINGS = ViewSettings(2, MaskSettings(1.0, 0.5, (4, 8, 8), (8, 12, 12)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("views")
    make_plain_store(made / "store", {"a": 1, "b": 2})
    write_encoder(made / "encoder")
    return made


def test_half_is_hidden_of_all_views_but_the_first(folder: Path) -> None:
    prepared, (encoder, _) = (
        Store(folder / "store").prepared("a"),
        load_encoder(folder / "encoder"),
    )
    shown = (encoder, prepared.image, prepared.body, DENSITY, SETTINGS)
    views = draw_views_of(*shown, np.random.default_rng(0))
    plain = describe(encoder, MAPS, prepared.image, PLAIN.window)
    expected = torch.cat([averaged(plain[s], s.cube)[0] for s in MAPS]).half()
    assert torch.equal(views.maps[0], expected)
    assert views.maps.shape == (3, *expected.shape)
    assert (views.seen[0] == 1).all()
    assert (views.seen[1:].float().mean((1, 2, 3)) - 0.5).abs().max() < 0.15
    assert torch.equal(views.body, torch.from_numpy(prepared.body[::4, ::8, ::8].copy()))
    changed = (views.maps[1:] - views.maps[0]).abs().amax(1)
    assert (changed.amax((1, 2, 3)) > 0).all()
    again = draw_views_of(*shown, np.random.default_rng(0))
    assert torch.equal(again.maps, views.maps)
    other = draw_views_of(*shown, np.random.default_rng(1))
    assert not torch.equal(other.seen, views.seen)


def test_a_hidden_block_says_nothing_of_what_was_there(folder: Path) -> None:
    prepared, (encoder, _) = (
        Store(folder / "store").prepared("a"),
        load_encoder(folder / "encoder"),
    )
    every = ViewSettings(1, MaskSettings(1.0, 0.999))
    maps = []
    for image in (prepared.image, np.flip(prepared.image, 1).copy()):
        rng = np.random.default_rng(0)
        maps.append(draw_views_of(encoder, image, prepared.body, DENSITY, every, rng).maps)
    assert torch.equal(maps[0][1], maps[1][1])
    assert not torch.equal(maps[0][0], maps[1][0])


def test_views_are_drawn_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, (encoder, about) = Store(folder / "store"), load_encoder(folder / "encoder")
    told = (folder / "kept", store, encoder, about.sha256, DENSITY)
    first = {name: kept.load() for name, kept in kept_views(*told, SETTINGS).items()}
    with monkeypatch.context() as patch:
        patch.setattr(masked_views, "draw_views_of", None)
        for name, kept in kept_views(*told, SETTINGS).items():
            assert torch.equal(kept.load().maps, first[name].maps)
    kept = kept_views(*told, ViewSettings(1))
    assert len(kept["a"].load().maps) == 2


@pytest.mark.parametrize(
    ("masked", "masks"),
    [
        (0, MaskSettings()),
        *[(1, MaskSettings(ratio=share)) for share in (0.0, 1.0, 2.0)],
        (1, MaskSettings(chance=0.0)),
        (1, MaskSettings(least=(8, 8, 8), largest=(2, 2, 2))),
    ],
)
def test_views_that_hide_nothing_or_all_are_refused(masked: int, masks: MaskSettings) -> None:
    with pytest.raises(InputError, match="1 or more views with blocks hidden"):
        ViewSettings(masked, masks)
