"""What goes to a graphics card for a scan, on one without values: nothing else is waited for."""

import numpy as np
import pytest
import torch

from ctscreener import tiles
from ctscreener.shifts import finest
from ctscreener.tiled import batch_of, pooled_mask
from Testing.engine.small_encoded import small_encoded
from Testing.engine.small_model import SETTINGS
from Testing.engine.valueless_card import CARD, Traffic, card


def test_a_whole_scan_goes_to_the_card_once_and_its_body_beside_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    networks = small_encoded()
    image = np.zeros((21, 33, 40), np.int16)
    body = np.ones(image.shape, bool)
    networks.to(CARD)
    with card(monkeypatch), torch.inference_mode(), Traffic() as traffic:
        scores = networks.scored(image, body, CARD, lambda done, total: None)
    size = finest(image.shape)
    assert scores.shape == size
    assert sorted(nbytes for _, nbytes in traffic.copies) == sorted([image.nbytes, np.prod(size)])


def test_tiles_go_there_as_bytes_and_their_places_are_made_there() -> None:
    image = np.zeros((2 * SETTINGS.tile[0], *SETTINGS.tile[1:]), np.uint8)
    where = pooled_mask(np.ones(image.shape, bool), SETTINGS.pool)
    boxes = list(tiles.boxes(image.shape, SETTINGS.tile, SETTINGS.tile))
    with Traffic() as traffic:
        x, places, mask = batch_of(boxes, image, where, image.shape, SETTINGS, CARD)  # pyright: ignore[reportArgumentType]
    assert {part.device for part in (x, places, mask)} == {CARD}
    assert sorted(nbytes for _, nbytes in traffic.copies) == sorted([image.size, where.size])
