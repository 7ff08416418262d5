"""The training loop: what was killed and started again equals what never stopped."""

import json
import os
import signal
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from torch import Tensor, nn

from ctscreener.errors import InputError
from training.loop.loop import FREE, LoopSettings, Task, Trained, seeded, train
from training.loop.memory import Need
from training.loop.schedule import Clock
from training.loop.settings import claim_run

SETTINGS = LoopSettings(
    steps=12,
    lr=0.05,
    warmup=3,
    precision="32-true",
    device="cpu",
    checkpoint_seconds=0,
    log_every=1,
)


class Regression(nn.Module):
    """A layer with chance of its own; at the step `trouble` it does what it is told."""

    def __init__(self, trouble: int = -1, what: str = "die") -> None:
        super().__init__()
        with seeded(7):
            self.layer = nn.Linear(4, 1)
        self.drop = nn.Dropout(0.5)
        self.trouble, self.what, self.seen = trouble, what, 0

    def forward(self, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        """Give the mean squared error."""
        if self.seen == self.trouble:
            self.act()
        self.seen += 1
        loss = (self.layer(self.drop(x))[:, 0] - y).square().mean()
        if self.what == "nan" and self.seen > self.trouble >= 0:
            loss = loss * float("nan")
        return {"loss": loss, "half": loss.detach() / 2}

    def act(self) -> None:
        """Die, or ask for the end."""
        if self.what == "die":
            raise RuntimeError("killed")
        if self.what == "signal":
            os.kill(os.getpid(), signal.SIGTERM)


def load(index: int) -> tuple[np.ndarray, np.ndarray]:
    x = np.random.default_rng([0, index]).normal(size=(16, 4)).astype(np.float32)
    return x, x @ np.array([1, -2, 3, 0.5], dtype=np.float32)


def render(batch: tuple[np.ndarray, np.ndarray], device: torch.device) -> tuple[Tensor, ...]:
    return tuple(torch.from_numpy(part).to(device) for part in batch)


def fit(run: Path, objective: Regression | None = None, **changes: float | str) -> Trained:
    settings = replace(SETTINGS, **changes)  # pyright: ignore[reportArgumentType]
    return train(Task(objective or Regression(), load, render), run, settings, "toy")


def rows(run: Path) -> list[dict[str, float]]:
    lines = (run / "metrics.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in lines]


def tensors(path: Path) -> dict[str, Tensor]:
    with safe_open(path, framework="pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


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


@pytest.mark.parametrize(("decay", "middle"), [("linear", 0.75), ("cosine", 0.853553)])
def test_the_rate_rises_over_the_warm_up_and_falls_to_zero(decay: str, middle: float) -> None:
    clock = Clock(LoopSettings(steps=110, warmup=10, decay=decay))  # pyright: ignore[reportArgumentType]
    found = []
    for clock.step in (0, 4, 9, 35, 110):
        found.append(clock.factor())
    assert found == pytest.approx([0.1, 0.5, 1.0, middle, 0.0], abs=1e-6)


def test_by_the_clock_the_rate_falls_with_the_time_of_all_sessions() -> None:
    clock = Clock(LoopSettings(schedule="minutes", max_minutes=10, decay="linear", warmup=1))
    clock.resume({"step": 50, "seconds": 450})
    assert clock.factor() == pytest.approx(0.25, abs=1e-3)
    assert clock.share() == pytest.approx(0.75, abs=1e-3)
    assert not clock.ended()
    clock.resume({"step": 50, "seconds": 600})
    assert clock.ended()
    with pytest.raises(InputError, match="max-minutes"):
        Clock(LoopSettings(schedule="minutes"))


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


@pytest.mark.parametrize(("steps", "whole"), [(1000, 100), (100, 20)])
def test_a_warm_up_takes_no_more_than_a_fifth_of_the_steps(steps: int, whole: int) -> None:
    clock = Clock(LoopSettings(steps=steps, warmup=100, decay="linear"))
    clock.step = whole - 1
    assert clock.factor() == pytest.approx(1.0, abs=0.02)
    clock.step = whole // 2 - 1
    assert clock.factor() == pytest.approx(0.5, abs=0.02)


def test_by_the_clock_a_warm_up_takes_no_more_than_a_tenth_of_the_time() -> None:
    clock = Clock(LoopSettings(schedule="minutes", max_minutes=10, warmup=10_000))
    clock.resume({"step": 7, "seconds": 30})
    assert clock.factor() == pytest.approx(0.5, abs=0.02)
    clock.resume({"step": 7, "seconds": 60})
    assert clock.factor() > 0.95


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
