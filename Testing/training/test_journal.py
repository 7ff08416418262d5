"""What a training leaves to look at: curves, pictures, held-out loss, memory."""

import json
from pathlib import Path

import numpy as np
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from training.data.masking import hide
from training.data.pictures import COLUMNS, HIDDEN, MARKED, crop_pictures
from training.loop.journal import Journal


def test_curves_pictures_and_what_is_watched_are_in_tensorboard(tmp_path: Path) -> None:
    picture = np.random.default_rng(0).integers(0, 255, (6, 8, 3), dtype=np.uint8)
    with Journal(tmp_path, "toy", 0) as journal:
        for step in range(3):
            journal.write(step, {"loss": 2.0 - step})
        journal.watched(2, {"nll": 7.5})
        journal.draw(2, {"crops": picture})
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    assert [scalar.value for scalar in events.Scalars("loss")] == [2.0, 1.0, 0.0]
    assert events.Scalars("held_out/nll")[0].value == 7.5
    image = events.Images("crops")[0]
    assert (image.height, image.width, image.step) == (6, 8, 2)


def test_going_on_drops_what_will_be_watched_again(tmp_path: Path) -> None:
    with Journal(tmp_path, "toy", 0) as journal:
        for step in (0, 5, 10):
            journal.watched(step, {"nll": float(step)})
    with Journal(tmp_path, "toy", 10):
        pass
    lines = (tmp_path / "watched.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [0, 5]


def test_a_picture_shows_both_views_their_common_voxels_and_what_is_hidden() -> None:
    images = torch.zeros(6, 1, 4, 5, 7)
    images[0] = 1.0
    masks = torch.ones(6, 1, 4, 5, 7)
    masks[4, :, :, :, 3] = 0
    places = torch.full((6, 1, 3), 2.0)
    places[3, 0] = torch.tensor([0.0, 1.0, 1.0])
    picture = crop_pictures((hide(images, masks), places))["crops"]
    assert picture.shape == (10, 21, 3)
    # Three pairs: first views above, second ones below.
    assert (picture[0, 0] == 255).all()
    assert (picture[0, 7] == 0).all()
    assert tuple(picture[2, 2]) == MARKED
    # The voxel of the fourth crop lies far from its middle slice.
    assert tuple(picture[5 + 1, 1]) == (0, 0, 0)
    assert (picture[5:, 7 + 3] == HIDDEN).all(axis=-1).sum() == 5
    assert COLUMNS >= 3
