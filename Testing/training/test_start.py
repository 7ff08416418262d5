"""What a training begins with: the averaged weights of another, a checkpoint, or a refusal."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from ctscreener.errors import InputError
from Testing.training.toy_training import SETTINGS, Regression, fit, load, render, tensors
from training.loop.loop import Task, train


def test_a_training_goes_on_from_the_averaged_weights_of_another(tmp_path: Path) -> None:
    first = fit(tmp_path / "first")
    settings = replace(SETTINGS, steps=1, lr=0.0, init_from=tmp_path / "first", weight_decay=0.0)
    task = Task(Regression(), load, render)
    second = train(task, tmp_path / "second", settings, "toy")
    for name, value in first.weights.items():
        torch.testing.assert_close(second.weights[name], value)
    moments = tensors(tmp_path / "second" / "checkpoint.safetensors")
    assert moments["optimizer.0.step"] == 1, "the optimizer is fresh"


def test_a_checkpoint_wins_over_the_weights_to_begin_with(tmp_path: Path) -> None:
    fit(tmp_path / "first", lr=0.5)
    whole = train(Task(Regression(), load, render), tmp_path / "whole", SETTINGS, "toy")
    fit(tmp_path / "again", max_minutes=1e-9)
    settings = replace(SETTINGS, init_from=tmp_path / "first")
    again = train(Task(Regression(), load, render), tmp_path / "again", settings, "toy")
    assert all(torch.equal(again.weights[name], v) for name, v in whole.weights.items())


def test_weights_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    fit(tmp_path / "first", steps=1)
    other = Regression()
    other.layer = nn.Linear(5, 1)
    settings = replace(SETTINGS, init_from=tmp_path / "first")
    with pytest.raises(InputError, match=r"layer.weight of shape \(1, 5\).*found of shape"):
        train(Task(other, load, render), tmp_path / "second", settings, "toy")
    missing = replace(SETTINGS, init_from=tmp_path / "none")
    with pytest.raises(InputError, match="Expected the weights of a run"):
        train(Task(Regression(), load, render), tmp_path / "third", missing, "toy")


def test_what_is_not_handed_on_may_differ_and_has_no_average(tmp_path: Path) -> None:
    class Headed(Regression):
        def __init__(self, width: int) -> None:
            super().__init__()
            self.head = nn.Linear(width, 1)

        def forward(self, x: Tensor, y: Tensor) -> dict[str, Tensor]:
            metrics = super().forward(x, y)
            return metrics | {"loss": metrics["loss"] + self.head.weight.square().sum()}

    task = Task(Headed(2), load, render, kept="layer")
    first = train(task, tmp_path / "first", replace(SETTINGS, steps=2), "toy")
    assert set(first.weights) == {"layer.weight", "layer.bias"}
    settings = replace(SETTINGS, steps=2, init_from=tmp_path / "first")
    wider = Task(Headed(3), load, render, kept="layer")
    assert train(wider, tmp_path / "second", settings, "toy").finished
