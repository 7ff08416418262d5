"""Reading in a process of its own: scans come whole, and what ends their reader ends nothing else."""

import os
import signal
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import pytest

from ctscreener.errors import InputError
from ctscreener.files import read_scan, write_map
from ctscreener.reading import Reader
from Testing.engine.torso import SHAPE, canonical_affine, torso

SCAN = torso(canonical_affine(SHAPE, (4.0, 3.0, 3.0)))

POSIX = pytest.mark.skipif(os.name != "posix", reason="signals are those of POSIX")


@pytest.fixture(scope="module")
def reader() -> Iterator[Reader]:
    with Reader() as made:
        yield made


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("scans") / "whole.nrrd"
    write_map(path, np.rint(SCAN.hu), SCAN.affine)
    return path


def test_a_scan_comes_through_as_it_is_read(reader: Reader, whole: Path, tmp_path: Path) -> None:
    part = tmp_path / "part.nrrd"
    write_map(part, SCAN.hu, SCAN.affine)
    for path, dtype in ((whole, np.int16), (part, np.float32)):
        here, there = read_scan(path), reader.read(path)
        assert there.hu.dtype == dtype
        np.testing.assert_array_equal(here.hu, there.hu)
        np.testing.assert_array_equal(here.affine, there.affine)


def test_a_refusal_comes_through_and_the_next_scan_is_read(reader: Reader, whole: Path) -> None:
    with pytest.raises(InputError) as refused:
        reader.read(whole.with_name("missing.nrrd"))
    assert refused.value.code == "scan.missing"
    assert reader.read(whole).shape == SCAN.shape


def pid_of(reader: Reader) -> int:
    assert reader._process is not None
    assert reader._process.pid is not None
    return reader._process.pid


@POSIX
@pytest.mark.parametrize(
    ("number", "code", "told"),
    [
        (signal.SIGSEGV, "scan.crashes", "SIGSEGV"),
        (signal.SIGABRT, "scan.crashes", "SIGABRT"),
        (signal.SIGKILL, "scan.memory", "memory"),
    ],
)
def test_a_reader_that_is_ended_is_told_apart_and_the_next_scan_is_read(
    whole: Path, number: int, code: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Reader() as reader:
        reader.read(whole)
        connected = reader._connected

        def ended_then() -> Connection:
            # Before that a dead process is no fault of the scan: it is replaced without a word.
            pipe = connected()
            os.kill(pid_of(reader), number)
            return pipe

        with monkeypatch.context() as patch:
            patch.setattr(reader, "_connected", ended_then)
            with pytest.raises(InputError, match=told) as refused:
                reader.read(whole)
        assert refused.value.code == code
        assert refused.value.message.count("whole.nrrd") == 1
        assert reader.read(whole).shape == SCAN.shape


@POSIX
def test_a_scan_without_an_end_is_given_up(whole: Path) -> None:
    with Reader(seconds=0.5) as reader:
        os.kill(pid_of(reader), signal.SIGSTOP)
        with pytest.raises(InputError, match="minutes") as refused:
            reader.read(whole)
        assert refused.value.code == "scan.hangs"
        reader._seconds = 60
        assert reader.read(whole).shape == SCAN.shape


def end_at_once(_pipe: object) -> None:
    raise SystemExit(3)


def test_a_process_that_cannot_start_is_not_blamed_on_the_scan(
    whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ctscreener.reading.serve", end_at_once)
    with Reader() as reader, pytest.raises(RuntimeError, match="at its start, with 3"):
        reader.read(whole)


@POSIX
def test_no_process_is_left(whole: Path) -> None:
    with Reader() as reader:
        pid = pid_of(reader)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_reader_that_ended_between_two_scans_is_started_anew(whole: Path) -> None:
    with Reader() as reader:
        reader.read(whole)
        process = reader._process
        assert process is not None
        process.terminate()
        process.join()
        np.testing.assert_array_equal(reader.read(whole).hu, np.rint(SCAN.hu))
