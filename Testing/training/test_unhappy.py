"""What cannot be trained on, or gone on with, ends in one line: expected, found, what to do."""

import errno
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError

from ctscreener.errors import InputError
from ctscreener.settings import read_json, write_json
from Testing.training.bare_machine import ROOT
from Testing.training.small_store import make_store
from training import run
from training.loop.checkpoint import saved_whole
from training.loop.settings import claim_run

FLAGS = ["--preset", "tiny", "--device", "cpu", "--precision", "32-true", "--steps", "2"]
FLAGS += ["--warmup", "1", "--crops.size", "8", "12", "12", "--crops.positions", "64"]
FLAGS += ["--crops.pairs", "2", "--network.channels", "8", "16", "--contrast.width", "16"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a finished run of a descriptor."""
    folder = tmp_path_factory.mktemp("unhappy")
    make_store(folder / "store", {"a": (24, 30, 30), "b": (20, 30, 36)})
    assert train(folder) == 0
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """A copy of it, to be spoilt."""
    copy = Path(shutil.copytree(made, tmp_path / "copy"))
    settings = read_json(copy / "run" / "settings.json")
    write_json(copy / "run" / "settings.json", settings | {"store": str(copy / "store")})
    return copy


def train(folder: Path, *more: str, stage: str = "descriptor") -> int:
    places = ["--store", str(folder / "store"), "--run", str(folder / "run")]
    return run.main([stage, *FLAGS, *places, *more])


def empty_store(folder: Path) -> None:
    manifest = read_json(folder / "store" / "manifest.json")
    write_json(folder / "store" / "manifest.json", manifest | {"scans": []})


def cut_short(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def other_version(folder: Path) -> None:
    kind = read_json(folder / "run" / "run.json")
    write_json(folder / "run" / "run.json", kind | {"format_version": 99})


def older_settings(folder: Path) -> None:
    os.remove(folder / "run" / "run.json")


CASES: dict[str, tuple[Callable[[Path], object], list[str], str]] = {
    "no scans": (
        empty_store,
        [],
        "Expected scans in the store .*, found none of 0",
    ),
    "one scan": (lambda folder: None, ["--exclude", "a"], "Expected 2 scans or more .* found 1"),
    "small scans": (
        lambda folder: None,
        ["--crops.size", "64", "96", "96", "--run", "fresh"],
        r"Expected a scan of at least \(\d+, \d+, \d+\) prepared voxels .* smaller --crops.size",
    ),
    "odd crops": (
        lambda folder: None,
        ["--crops.size", "8", "12", "13"],
        r"Expected a --crops.size whose sides are multiples of \(4, 4, 4\)",
    ),
    "no fine copy": (
        lambda folder: None,
        ["--crops.grid", "fine"],
        "Expected a finer copy .* Run the stage `prepare` with --fine",
    ),
    "other settings": (lambda folder: None, ["--lr", "0.5"], "holds a run with loop.lr = 0.001"),
    "other version": (other_version, [], "Expected ctscreener-run version 1 .* found .* 99"),
    "checkpoint cut short": (
        lambda folder: cut_short(folder / "run" / "checkpoint.safetensors"),
        [],
        "Expected a checkpoint of this training .* remove the run folder",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_it_ends_in_one_line_that_says_what_to_do(
    folder: Path, capsys: pytest.CaptureFixture[str], case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil, flags, message = CASES[case]
    monkeypatch.chdir(folder)
    spoil(folder)
    assert train(folder, *flags) == 2
    lines = capsys.readouterr().err.splitlines()
    told = [line for line in lines if "held on" not in line and "%" not in line]
    assert len(told) == 1
    assert re.search(message, told[0]), told[0]


def test_a_full_disk_ends_in_one_line(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, _private: bool = True) -> None:
        if path.name == "result.json":
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("ctscreener.whole_file.finish", full)
    assert train(folder) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert re.search("Expected room on the disk for result.json, found it full", last)


@pytest.mark.parametrize("told", [True, False])
def test_a_folder_of_another_stage_is_refused_with_and_without_its_name(
    folder: Path, capsys: pytest.CaptureFixture[str], told: bool
) -> None:
    if not told:
        older_settings(folder)
    places = ["--store", str(folder / "store"), "--run", str(folder / "run")]
    assert run.main(["density", *places]) == 2
    message = capsys.readouterr().err
    assert "Expected a run of the stage density" in message
    assert ("found one of descriptor" in message) == told


def test_a_run_of_before_a_setting_existed_goes_on(folder: Path) -> None:
    path = folder / "run" / "settings.json"
    settings = json.loads(path.read_text())
    del settings["loop"]["compile"], settings["crops"]["grid"]
    path.write_text(json.dumps(settings))
    older_settings(folder)
    assert train(folder) == 0
    assert read_json(folder / "run" / "run.json")["stage"] == "descriptor"


def test_weights_cut_short_stop_the_density(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cut_short(folder / "run" / "network.safetensors")
    flags = ["--descriptor", str(folder / "run"), "--run", str(folder / "density")]
    places = ["--store", str(folder / "store"), "--device", "cpu", "--tile", "16", "24", "24"]
    assert run.main(["density", *places, *flags]) == 2
    message = capsys.readouterr().err
    assert message.startswith("Expected the weights of a finished run")
    assert message.count("\n") == 1


def test_a_tile_that_does_not_fit_the_networks_is_refused(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--descriptor", str(folder / "run"), "--run", str(folder / "density")]
    flags += ["--store", str(folder / "store"), "--tile", "16", "25", "24"]
    assert run.main(["density", *flags]) == 2
    assert "Expected a --tile whose sides fit" in capsys.readouterr().err


def test_what_safetensors_says_of_a_full_disk_is_told_apart(tmp_path: Path) -> None:
    for said, code in (
        ("I/O error: No space left on device (os error 28)", "output.disk_full"),
        ("I/O error: Input/output error (os error 5)", "output.unwritable"),
    ):
        with pytest.raises(InputError) as raised, saved_whole(tmp_path / "w"):
            raise SafetensorError(f"Error while serializing: {said}")
        assert raised.value.code == code
    assert not (tmp_path / "w").exists()


@pytest.mark.parametrize("fill", [lambda: bytearray(2**60), lambda: torch.empty(2**60)])
def test_a_machine_with_too_little_memory_is_told_in_one_line(
    fill: Callable[[], object],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(run.STAGES, "density", lambda *_: fill())
    assert run.main(["density"]) == 2
    told = capsys.readouterr().err
    assert told.startswith("Expected a machine with memory")
    assert told.count("\n") == 1


@pytest.mark.parametrize(
    "fault", [RuntimeError("shapes differ"), BrokenPipeError("a worker has gone")]
)
def test_a_fault_of_ours_is_no_shortage_and_no_reader_that_has_gone(
    monkeypatch: pytest.MonkeyPatch, fault: Exception
) -> None:
    def broken(*_: object) -> None:
        raise fault

    monkeypatch.setitem(run.STAGES, "density", broken)
    with pytest.raises(type(fault), match=str(fault)):
        run.main(["density"])


def test_an_error_of_the_disk_that_is_not_its_being_full_is_no_ones_input(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*arguments: object, **more: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("training.loop.session.save_checkpoint", broken)
    os.remove(folder / "run" / "checkpoint.safetensors")
    with pytest.raises(OSError, match="Input/output"):
        train(folder)


def test_the_first_process_alone_claims_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.loop.processes.rank", lambda: 1)
    claim_run(tmp_path / "run", run, (), "descriptor")
    assert not (tmp_path / "run").exists()


@pytest.mark.skipif(os.name != "posix", reason="other systems have no such pipes")
@pytest.mark.parametrize("words", [["--help"], ["datasets", "--help"], ["datasets"]])
def test_a_reader_that_has_gone_ends_a_command_without_a_word(words: list[str]) -> None:
    """As `run.py datasets --help | head -1` does."""
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, str(ROOT / "training" / "run.py"), *words]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (130, "")
