"""What a training leaves comes back as it was, and not where there is something left to train."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from training.loop.schedule import LoopSettings
from training.loop.trained import RESULT, Trained

WEIGHTS = {
    "network.a.weight": torch.arange(6.0).reshape(2, 3).T,
    "network.b": torch.tensor(3.0),
    "networks.c": torch.tensor(4.0),
    "head.d": torch.tensor(5.0),
}
TRAINED = Trained(WEIGHTS, step=7, finished=True, seconds=90.0, peak_bytes=11)
LOOP = LoopSettings(steps=7)


def test_a_part_holds_the_weights_of_one_module_by_their_names_in_it() -> None:
    assert list(TRAINED.part("network")) == ["a.weight", "b"]
    assert list(TRAINED.part("none")) == []


def test_it_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    TRAINED.save(tmp_path, "network")
    assert {path.name for path in tmp_path.iterdir()} == {RESULT, "network.safetensors"}
    kept = Trained.kept(tmp_path, "network", LOOP)
    assert kept is not None
    assert replace(kept, weights={}) == replace(TRAINED, weights={})
    assert kept.weights.keys() == {"network.a.weight", "network.b"}
    for name, value in kept.weights.items():
        torch.testing.assert_close(value, WEIGHTS[name], rtol=0, atol=0)


@pytest.mark.parametrize("gone", [RESULT, "network.safetensors"])
def test_half_of_it_is_nothing(tmp_path: Path, gone: str) -> None:
    TRAINED.save(tmp_path, "network")
    (tmp_path / gone).unlink()
    assert Trained.kept(tmp_path, "network", LOOP) is None


def test_what_is_left_to_train_is_not_kept(tmp_path: Path) -> None:
    replace(TRAINED, finished=False).save(tmp_path, "network")
    assert Trained.kept(tmp_path, "network", LOOP) is None
    TRAINED.save(tmp_path, "network")
    minutes = replace(LOOP, schedule="minutes", max_minutes=1.5)
    assert Trained.kept(tmp_path, "network", minutes) is not None
    more = replace(minutes, max_minutes=1.6)
    assert Trained.kept(tmp_path, "network", more) is None, "more minutes are asked for now"
