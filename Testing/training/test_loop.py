"""The training loop: what was killed and started again equals what never stopped."""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from ctscreener.errors import InputError
from Testing.training.toy_training import SETTINGS, Regression, fit, load, render, rows, tensors
from training.loop.loop import FREE, LoopSettings, Task, Trained, train
from training.loop.memory import Need
from training.loop.settings import claim_run


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Trained, Path]:
    run = tmp_path_factory.mktemp("whole")
    torch.manual_seed(3)
    return fit(run), run


@pytest.mark.parametrize("what", ["die", "signal"])
def test_a_run_that_was_stopped_goes_on_to_the_very_same_numbers(
    tmp_path: Path, whole: tuple[Trained, Path], what: str
) -> None:
    torch.manual_seed(3)
    with pytest.raises(RuntimeError if what == "die" else SystemExit):
        fit(tmp_path, Regression(7, what))
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 8, "lo')
    torch.manual_seed(99)
    trained = fit(tmp_path)
    assert trained.finished
    for name, value in whole[0].weights.items():
        assert torch.equal(trained.weights[name], value)
    assert rows(tmp_path) == rows(whole[1])
    mine, other = (tensors(run / "checkpoint.safetensors") for run in (tmp_path, whole[1]))
    assert mine.keys() == other.keys()
    assert all(torch.equal(mine[name], other[name]) for name in mine)


def test_a_batch_and_its_number_belong_together(whole: tuple[Trained, Path]) -> None:
    lines = rows(whole[1])
    assert [line["step"] for line in lines] == list(range(12))
    assert lines[-1]["loss"] < lines[0]["loss"]
    assert lines[0]["half"] == pytest.approx(lines[0]["loss"] / 2)
    assert list(whole[1].glob("events.out.tfevents.*"))


def test_a_finished_run_is_not_trained_again(tmp_path: Path) -> None:
    first = fit(tmp_path, steps=3)
    again = fit(tmp_path, Regression(0), steps=3)
    assert again.step == first.step == 3
    assert all(torch.equal(again.weights[k], v) for k, v in first.weights.items())


def test_what_a_finished_run_keeps_is_what_it_trained(tmp_path: Path) -> None:
    settings = LoopSettings(steps=12)
    assert Trained.kept(tmp_path, "layer", settings) is None
    trained = fit(tmp_path)
    trained.save(tmp_path, "layer")
    kept = Trained.kept(tmp_path, "layer", settings)
    assert kept is not None
    assert replace(kept, weights={}) == replace(trained, weights={})
    assert kept.weights.keys() == trained.weights.keys()
    assert all(torch.equal(kept.weights[name], trained.weights[name]) for name in kept.weights)


def test_a_run_that_has_time_left_is_not_taken_for_finished(tmp_path: Path) -> None:
    replace(fit(tmp_path), finished=False).save(tmp_path, "layer")
    assert Trained.kept(tmp_path, "layer", LoopSettings()) is None
    replace(fit(tmp_path), seconds=90.0).save(tmp_path, "layer")
    minutes = LoopSettings(schedule="minutes", max_minutes=1.0)
    assert Trained.kept(tmp_path, "layer", minutes) is not None
    assert Trained.kept(tmp_path, "layer", replace(minutes, max_minutes=2.0)) is None


def test_the_result_is_the_running_average_of_the_weights(tmp_path: Path) -> None:
    first = {k: v.clone() for k, v in Regression().state_dict().items()}
    trained = fit(tmp_path, steps=1, average=0.999)
    now = {
        name.removeprefix("model."): value
        for name, value in tensors(tmp_path / "checkpoint.safetensors").items()
        if name.startswith("model.")
    }
    for name, value in trained.weights.items():
        # In the first step the decay is 1/10.
        torch.testing.assert_close(value, 0.1 * first[name] + 0.9 * now[name])
    trained.save(tmp_path, "layer")
    assert set(tensors(tmp_path / "layer.safetensors")) == {"weight", "bias"}
    assert json.loads((tmp_path / "result.json").read_text())["finished"] is True


@pytest.mark.parametrize("log_every", [1, 5])
def test_a_loss_that_is_not_finite_stops_before_it_spoils_the_checkpoint(
    tmp_path: Path, log_every: int
) -> None:
    with pytest.raises(InputError, match="Expected finite numbers, found loss = nan at step"):
        fit(tmp_path, Regression(4, "nan"), log_every=log_every)
    assert all(
        value.isfinite().all() for value in tensors(tmp_path / "checkpoint.safetensors").values()
    )


def test_time_that_is_up_leaves_a_checkpoint_to_go_on_from(tmp_path: Path) -> None:
    paused = fit(tmp_path, max_minutes=1e-9)
    assert (paused.step, paused.finished) == (0, False)
    assert fit(tmp_path).finished


def test_weights_learn_as_fast_as_their_share(tmp_path: Path) -> None:
    """AdamW's first step is the learning rate, whatever the gradient."""
    before = {name: value.clone() for name, value in Regression().state_dict().items()}
    settings = replace(SETTINGS, steps=1, warmup=0, average=0.0, weight_decay=0.0)
    task = Task(Regression(), load, render, shares={"layer.bias": 0.1})
    train(task, tmp_path, settings, "toy")
    moved = {name: (v - before[name]).abs() for name, v in task.objective.state_dict().items()}
    torch.testing.assert_close(moved["layer.bias"], torch.tensor([0.005]), rtol=1e-3, atol=0)
    weight = moved["layer.weight"]
    torch.testing.assert_close(weight, torch.full((1, 4), 0.05), rtol=1e-3, atol=0)


def test_a_checkpoint_of_another_network_is_refused(tmp_path: Path) -> None:
    fit(tmp_path, steps=1)
    other = Regression()
    other.layer = nn.Linear(5, 1)
    with pytest.raises(InputError, match="Expected a checkpoint of this training"):
        fit(tmp_path, other)
    (tmp_path / "checkpoint.safetensors").write_bytes(b"torn")
    with pytest.raises(InputError, match="Expected a checkpoint of this training"):
        fit(tmp_path)


@dataclass(frozen=True)
class StageSettings:
    """Settings with a loop inside, as every stage has."""

    width: int = 3
    loop: LoopSettings = SETTINGS


def test_a_run_folder_belongs_to_its_settings(tmp_path: Path) -> None:
    claim_run(tmp_path, StageSettings(), FREE)
    claim_run(tmp_path, StageSettings(loop=replace(SETTINGS, max_minutes=3, device="auto")), FREE)
    with pytest.raises(InputError, match="loop.lr = 0.05, not 0.1"):
        claim_run(tmp_path, StageSettings(loop=replace(SETTINGS, lr=0.1)), FREE)
    with pytest.raises(InputError, match="width = 3, not 4"):
        claim_run(tmp_path, StageSettings(width=4), FREE)


class Now(Regression):
    """Has losses that are not finite at the steps that it is told."""

    def __init__(self, bad: tuple[int, ...]) -> None:
        super().__init__()
        self.bad = bad

    def forward(self, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        """Give the mean squared error, or what is no number."""
        spoilt = self.seen in self.bad
        metrics = super().forward(x, y)
        return metrics | {"loss": metrics["loss"] * (float("nan") if spoilt else 1.0)}


def test_a_step_that_is_not_finite_is_skipped_and_counted(tmp_path: Path) -> None:
    """Weights, moments and their count are as if there had been no such step."""
    still, moved = tmp_path / "still", tmp_path / "moved"
    fit(still, Now((3, 4)), steps=5, average=0.0)
    # Asked for the end while its third step goes on.
    with pytest.raises(SystemExit):
        fit(moved, Regression(2, "signal"), steps=5, average=0.0)
    one, other = (tensors(run / "checkpoint.safetensors") for run in (still, moved))
    for name in one:
        if name.startswith(("model.", "optimizer.")):
            assert torch.equal(one[name], other[name]), name
    assert [row.get("skipped", 0) for row in rows(still)] == [0, 0, 0, 1, 2]
    assert "loss" not in rows(still)[3], "what is no number is no JSON"


def test_skipped_steps_are_counted_on_by_the_next_session(tmp_path: Path) -> None:
    """In a row means in a row, whatever sessions there were."""
    signalled = Now((3, 4, 5))
    signalled.trouble, signalled.what = 5, "signal"
    with pytest.raises(SystemExit):
        fit(tmp_path, signalled, not_finite=4)
    again = Now((0,))
    with pytest.raises(InputError, match="4 steps in a row"):
        fit(tmp_path, again, not_finite=4)


def test_the_trial_of_memory_comes_before_anything_is_compiled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Smaller batches would have graphs of their own compiled, which takes minutes."""
    done: list[str] = []
    monkeypatch.setattr("training.loop.loop.check_memory", lambda *given: done.append("trial"))
    monkeypatch.setattr("training.loop.loop.compile_parts", lambda part: done.append("compiled"))
    need = Need(2, lambda units, device: (), lambda units: "")
    settings = replace(SETTINGS, steps=1, compile=True)
    train(Task(Regression(), load, render, need), tmp_path, settings, "toy")
    assert done == ["trial", "compiled"]
