"""Two processes, each with half of a batch, are one process with all of it."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import distributed as dist

from ctscreener.errors import InputError
from Testing.training.plain_store import make_plain_store, write_encoder
from Testing.training.small_store import make_store
from Testing.training.two_processes import (
    CASES,
    OTHERS,
    Share,
    work,
    work_in_turns,
    work_others,
)
from training import run
from training.loop import processes

ROOT = Path(__file__).resolve().parents[2]


def torchrun(*arguments: str, count: int = 2) -> subprocess.CompletedProcess[str]:
    """Start a script in some processes on this machine."""
    places = [str(ROOT), str(ROOT / "ScreenerSlicer")]
    # Without the two dashes torchrun takes our --run for one of its own flags.
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    return subprocess.run(
        [*command, "--nproc-per-node", str(count), "--", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(places), "OMP_NUM_THREADS": "1"},
    )


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """What one process and what two leave."""
    one, two = tmp_path_factory.mktemp("one"), tmp_path_factory.mktemp("two")
    work(one, Share(0, 1))
    work_in_turns(one, Share(0, 1))
    work_others(one, Share(0, 1))
    ended = torchrun(str(ROOT / "Testing" / "training" / "two_processes.py"), str(two))
    assert ended.returncode == 0, ended.stderr[-3000:]
    return one, two


@pytest.fixture(scope="module")
def four(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What four processes leave."""
    folder = tmp_path_factory.mktemp("four")
    script = str(ROOT / "Testing" / "training" / "two_processes.py")
    ended = torchrun(script, str(folder), count=4)
    assert ended.returncode == 0, ended.stderr[-3000:]
    return folder


def metrics(run: Path) -> list[dict[str, float]]:
    lines = (run / "metrics.jsonl").read_text().splitlines()
    # `spread` is a deviation within a process, a diagnosis and no part of the loss.
    return [
        {k: v for k, v in json.loads(line).items() if k not in ("seconds", "spread")}
        for line in lines
    ]


@pytest.mark.parametrize("case", CASES)
def test_loss_and_gradients_are_those_of_one_process_with_the_whole_batch(
    both: tuple[Path, Path], case: str
) -> None:
    alone, together = (load_file(folder / f"{case}.safetensors") for folder in both)
    assert alone.keys() == together.keys()
    scale = max(gradient.abs().max().item() for gradient in alone.values())
    for name, gradient in alone.items():
        torch.testing.assert_close(together[name], gradient, rtol=1e-3, atol=2e-5 * scale)


@pytest.mark.parametrize("case", [*CASES, *OTHERS])
def test_four_processes_are_one_in_every_stage_and_so_are_two(
    both: tuple[Path, Path], four: Path, case: str
) -> None:
    alone, *several = (metrics(folder / case) for folder in (*both, four))
    for rows in several:
        assert len(rows) == len(alone) == 4
        for one, other in zip(alone, rows, strict=True):
            for name in ("loss", "grad_norm"):
                assert other[name] == pytest.approx(one[name], rel=2e-3, abs=1e-6)


def test_a_discriminator_that_processes_share_out_is_that_of_one(tmp_path: Path) -> None:
    make_plain_store(tmp_path / "store", {"a": 1, "b": 2, "c": 3, "d": 4})
    write_encoder(tmp_path / "encoder")
    small = "--folds 2 --draw.rows.draws 1 --draw.rows.corruption.fewest 3 --fit.hidden 4"
    small += " --draw.rows.an-anomaly 20 --draw.rows.untouched 60 --fit.epochs 1 --fit.batch 64"
    small += " --density.components 6 --draw.rows.corruption.radius-mm 3 6"
    common = ["discriminator", *small.split(), "--store", str(tmp_path / "store")]
    common += ["--encoder", str(tmp_path / "encoder")]
    assert run.main([*common, "--run", str(tmp_path / "one")]) == 0
    script = str(ROOT / "training" / "run.py")
    ended = torchrun(script, *common, "--run", str(tmp_path / "two"))
    assert ended.returncode == 0, ended.stderr[-3000:]
    one, two = (load_file(tmp_path / name / "heads.safetensors") for name in ("one", "two"))
    assert one.keys() == two.keys()
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=1e-4, atol=1e-5)
    assert (tmp_path / "two" / "result.json").exists()


@pytest.mark.parametrize("case", [*CASES, "turns"])
def test_so_is_a_whole_training(both: tuple[Path, Path], case: str) -> None:
    alone, together = (metrics(folder / case) for folder in both)
    assert len(alone) == len(together) == 4
    for one, two in zip(alone, together, strict=True):
        assert two == pytest.approx(one, rel=1e-3, abs=1e-6)
    first, second = (load_file(folder / case / "network.safetensors") for folder in both)
    for name, weight in first.items():
        torch.testing.assert_close(second[name], weight, rtol=1e-3, atol=1e-4)


def meet_alone(folder: Path, *_: object, **__: object) -> None:
    """A group of one process, in the place of one that torchrun would bring together."""
    place = (folder / "group").as_uri()
    dist.init_process_group("gloo", init_method=place, rank=0, world_size=1)


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[Callable[..., None]]:
    """`meet_alone` in a folder; what a failed test leaves behind does not reach the next one."""
    yield partial(meet_alone, tmp_path)
    if dist.is_initialized():
        dist.destroy_process_group()


STAGES = {
    "descriptor": "training.descriptor",
    "condition": "training.condition",
    "ape": "training.ape",
    "density": "training.density",
    "distil": "training.distil",
    "all": "training.all_stages",
}


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_parts_from_the_other_processes(
    stage: str, alone: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{STAGES[stage]}.main", alone)
    assert run.main([stage]) == 0
    assert not dist.is_initialized()


def test_after_an_error_no_other_process_is_waited_for(
    alone: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    alone()
    monkeypatch.setattr("training.loop.processes.dist.barrier", lambda: pytest.fail("waited"))
    with pytest.raises(InputError), processes.together():
        raise InputError("a", "b", "c")


def test_torchrun_runs_a_stage_and_writes_its_folder_once(tmp_path: Path) -> None:
    make_store(tmp_path / "store", {"a": (24, 30, 30), "b": (20, 30, 36)})
    flags = ["--preset", "tiny", "--store", str(tmp_path / "store"), "--run", str(tmp_path / "r")]
    flags += ["--steps", "13", "--warmup", "1", "--device", "cpu", "--precision", "32-true"]
    flags += ["--crops.size", "8", "12", "12", "--crops.positions", "64", "--crops.pairs", "2"]
    flags += ["--network.channels", "8", "16", "--contrast.width", "16"]
    ended = torchrun(str(ROOT / "training" / "run.py"), "descriptor", *flags)
    assert ended.returncode == 0, ended.stderr[-3000:]
    result = json.loads((tmp_path / "r" / "result.json").read_text())
    assert (result["step"], result["finished"]) == (13, True)
    assert [line["step"] for line in metrics(tmp_path / "r")] == [0, 10]
    assert len(list((tmp_path / "r").glob("events.out.tfevents.*"))) == 1
