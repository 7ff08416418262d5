"""Another machine screens: the same result, compared by hash, and nothing is left over there."""

import os
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from ctscreener.errors import InputError
from ctscreener.scan import Scan
from ScreenerSlicerLib.process.job import BackgroundJob
from ScreenerSlicerLib.process.job_maker import STUB
from ScreenerSlicerLib.process.remote import Remote
from ScreenerSlicerLib.process.remote_worker import ssh_line
from ScreenerSlicerLib.process.screen_job import ScreenOutput, ScreenRequest, screen_job
from Testing.slicer import fake_ssh, lumps
from Testing.slicer.processes import soon

ROOT = Path(__file__).parents[2]
LONGEST = 120.0
GONE_WITHIN = 8.0


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Another machine: a Python in a folder with an awkward name, and a place for its files."""
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "ssh").write_text(f'#!/bin/sh\nexec "{sys.executable}" "{fake_ssh.__file__}" "$@"\n')
    (tools / "ssh").chmod(0o755)
    python = tmp_path / "a b; touch $HOME" / "python3"
    python.parent.mkdir()
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    (tmp_path / "there").mkdir()
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("TMPDIR", str(tmp_path / "there"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), str(ROOT / "ScreenerSlicer")]))
    return tmp_path / "there"


def job(there: Path, remote: Remote | None, model: str = "preview") -> BackgroundJob[ScreenOutput]:
    """A screening of the lumps that has not begun."""
    here = there.parent / "here"
    here.mkdir(exist_ok=True)
    request = ScreenRequest(model, min_volume_ml=0.0, remote=remote)
    scan = Scan(lumps.hu(), lumps.LYING)
    return screen_job(scan, request, [sys.executable], here, worker=STUB, environment=os.environ)


def finish(one: BackgroundJob[ScreenOutput]) -> set[str]:
    """Run a job to its end; returns the stages that it told."""
    stages: set[str] = set()

    def ended() -> bool:
        progress = one.poll()
        stages.update([progress.stage] if progress else [])
        return one.state in ("done", "failed", "cancelled")

    one.start()
    assert soon(ended, LONGEST)
    return stages


def machine(there: Path, weights: str = "any") -> Remote:
    """The other machine."""
    return Remote("me@there.example", str(there.parent / "a b; touch $HOME" / "python3"), weights)


def test_it_finds_what_this_one_finds_and_nothing_is_left_there(there: Path) -> None:
    here, remote = job(there, None), job(there, machine(there), "mo del; touch $(pwd)/x")
    finish(here)
    stages = finish(remote)
    assert remote.state == "done", remote.error
    np.testing.assert_array_equal(remote.output().rarity, here.output().rarity)
    assert remote.output().findings == here.output().findings
    # A short stage may begin and end between two looks.
    assert stages & {"scoring", "restoring", "findings", "writing"}
    assert list(there.iterdir()) == []
    assert list((there.parent / "here").glob("screener-*")) == []


@pytest.mark.parametrize(
    ("way", "code", "told"),
    [
        ("refuse", "remote.ended", "found an end of the connection"),
        ("damage", "stream.damaged", "another hash"),
    ],
)
def test_a_connection_that_fails_is_told_and_leaves_nothing(
    there: Path, monkeypatch: pytest.MonkeyPatch, way: str, code: str, told: str
) -> None:
    monkeypatch.setenv("FAKE_SSH", way)
    one = job(there, machine(there))
    finish(one)
    assert one.error is not None
    assert (one.error.code, told in one.error.message) == (code, True), one.error
    assert "\n" not in str(one.error)
    if way == "refuse":
        assert any("Permission denied" in line for line in one.log.lines())
    assert soon(lambda: not list(there.iterdir()), GONE_WITHIN)


def test_other_weights_than_those_that_were_chosen_are_told(there: Path) -> None:
    one = job(there, machine(there, "ab" * 32))
    finish(one)
    assert one.error is not None
    assert one.error.code == "remote.weights"


def test_what_the_engine_refuses_there_is_told_here(
    there: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wish = '{"fail": "preparing", "error": ["scan.no_body", "Expected a body.", "Choose."]}'
    monkeypatch.setenv("SCREENER_STUB", wish)
    one = job(there, machine(there))
    finish(one)
    assert one.error is not None
    assert one.error.code == "scan.no_body"
    assert soon(lambda: not list(there.iterdir()), GONE_WITHIN)


def test_a_cancel_ends_it_there_too(there: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCREENER_STUB", '{"pause": "scoring"}')
    one = job(there, machine(there))
    one.start()
    assert soon(lambda: (p := one.poll()) is not None and p.stage == "scoring", LONGEST)
    assert len(list(there.iterdir())) == 1
    one.cancel()
    began = time.monotonic()
    assert soon(lambda: one.poll() is None and one.state == "cancelled", LONGEST)
    assert soon(lambda: not list(there.iterdir()), GONE_WITHIN)
    assert time.monotonic() - began < GONE_WITHIN


@pytest.mark.parametrize(
    "address", ["-oProxyCommand=touch x", "a b", "", "a@b@c", "me@-x", "h;ls"]
)
def test_what_is_no_address_never_reaches_ssh(there: Path, address: str) -> None:
    with pytest.raises(InputError, match="Expected host or user@host"):
        ssh_line(address, ["python3"])
