"""Files that are whole or not there: kills, leftovers, permissions, and who is told what."""

import errno
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import ctscreener
from ctscreener import owner, whole_file
from ctscreener.errors import InputError
from ctscreener.lock import held
from ctscreener.outputs import publish
from ctscreener.whole_file import STAGE, NotWrittenError, make_folder, write_text

ENGINE = str(Path(ctscreener.__file__).parent.parent)
POSIX = pytest.mark.skipif(os.name != "posix", reason="modes and signals are those of POSIX")


def child(script: str, *arguments: Path) -> "subprocess.Popen[str]":
    """Start a Python with the engine at hand."""
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": ENGINE},
    )


def ended_mark() -> str:
    """The mark of a process that has ended."""
    with child("from ctscreener.owner import mark; print(mark())") as process:
        return process.communicate()[0].strip()


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


@POSIX
def test_what_is_written_is_its_owners_alone_unless_it_is_made_to_be_passed_on(
    tmp_path: Path,
) -> None:
    before = os.umask(0o022)
    try:
        make_folder(tmp_path / "a" / "b")
        write_text(tmp_path / "a" / "b" / "mine", "x")
        make_folder(tmp_path / "model", private=False)
        write_text(tmp_path / "model" / "ours", "x", private=False)
    finally:
        os.umask(before)
    assert [mode(tmp_path / "a"), mode(tmp_path / "a" / "b")] == [0o700, 0o700]
    assert mode(tmp_path / "a" / "b" / "mine") == 0o600
    assert (mode(tmp_path / "model"), mode(tmp_path / "model" / "ours")) == (0o755, 0o644)


@POSIX
def test_nobody_else_can_look_at_a_file_while_it_is_written(tmp_path: Path) -> None:
    with whole_file.whole_file(tmp_path / "a") as part:
        part.write_text("x")
        assert mode(part.parent) == 0o700


WRITE_FOR_EVER = """
import sys, time
from pathlib import Path
from ctscreener.whole_file import whole_file
with whole_file(Path(sys.argv[1])) as part:
    part.write_text("half")
    print("writing", flush=True)
    time.sleep(60)
"""


@POSIX
def test_a_kill_leaves_no_half_file_and_the_next_writer_clears_up(tmp_path: Path) -> None:
    write_text(tmp_path / "a", "old")
    with child(WRITE_FOR_EVER, tmp_path / "a") as process:
        assert process.stdout is not None
        process.stdout.readline()
        whole_file._clear.cache_clear()
        write_text(tmp_path / "b", "of another process")
        assert len(list(tmp_path.glob(f"{STAGE}*"))) == 1, "its owner is alive"
        process.send_signal(signal.SIGKILL)
    assert (tmp_path / "a").read_text() == "old"
    assert len(list(tmp_path.glob(f"{STAGE}*"))) == 1
    whole_file._clear.cache_clear()
    write_text(tmp_path / "a", "new")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {
        "a": "new",
        "b": "of another process",
    }


def test_only_what_a_process_that_has_ended_has_left_is_cleared_away(tmp_path: Path) -> None:
    kept = [f"{STAGE}{owner.mark()}-0", f"{STAGE}notes", ".screener", f"{STAGE}a-b-c-0"]
    kept += [f"{STAGE}deadbeef-1-1-0"]
    gone = [f"{STAGE}{ended_mark()}-{number}" for number in range(2)]
    for name in kept + gone:
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text("half")
    whole_file.clear_left_behind(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(kept)
    # What another machine left a week ago and more has nobody who comes back for it.
    os.utime(tmp_path / f"{STAGE}deadbeef-1-1-0", (0, 0))
    whole_file._clear.cache_clear()
    whole_file.clear_left_behind(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(kept[:-1])


def test_a_whole_tree_is_cleared_at_the_start_of_a_run(tmp_path: Path) -> None:
    deep = tmp_path / "scan" / "deep"
    for place in (tmp_path, deep.parent, deep):
        (place / f"{STAGE}{ended_mark()}-0").mkdir(parents=True)
    with held(tmp_path):
        assert list(tmp_path.rglob(f"{STAGE}*-0")) == []
    assert deep.is_dir()


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="Linux tells when it began")
def test_another_process_of_the_same_number_is_not_taken_for_the_owner() -> None:
    machine, pid, started = owner.mark().split("-")
    assert not owner.is_gone(owner.mark(), time.time())
    assert owner.is_gone(f"{machine}-{pid}-{int(started) - 1}", time.time())


def test_files_that_appear_together_are_whole_or_cleared_away(tmp_path: Path) -> None:
    stage = tmp_path / f"{STAGE}{ended_mark()}-0"
    stage.mkdir()
    publish(tmp_path / "out", {"one": lambda path: path.write_text("1") and None})
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_refusal_passes_from_one_process_to_another_as_it_is() -> None:
    error = pickle.loads(pickle.dumps(NotWrittenError("output.disk_full", "Full.", "Make room.")))
    assert isinstance(error, NotWrittenError)
    assert (error.code, error.message, error.action) == ("output.disk_full", "Full.", "Make room.")


HOLD = """
import sys, time
from pathlib import Path
from ctscreener.lock import held
with held(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@POSIX
@pytest.mark.parametrize("stands", [True, False])
def test_a_folder_is_held_by_one_run_and_a_killed_one_holds_nothing(
    tmp_path: Path, stands: bool
) -> None:
    out = tmp_path / "new" / "out"
    if stands:
        out.mkdir(parents=True)
    with child(HOLD, out) as process:
        assert process.stdout is not None
        process.stdout.readline()
        (lock,) = [path for path in tmp_path.rglob("*") if path.is_file()]
        assert mode(lock) == 0o600
        for _ in range(2):
            with pytest.raises(InputError, match=f"process {process.pid}") as refused, held(out):
                pass
            assert refused.value.code == "output.busy"
            # The other one has made the folder meanwhile, or is about to.
            out.mkdir(exist_ok=True)
        process.send_signal(signal.SIGKILL)
    with held(out):
        assert len([path for path in out.parent.rglob("*") if path.is_file()]) == 1
    assert list(out.iterdir()) == []


def test_holding_a_folder_leaves_nothing(tmp_path: Path) -> None:
    with held(tmp_path / "a" / "b"):
        assert not (tmp_path / "a" / "b").exists()
    assert list(tmp_path.iterdir()) == []


def test_a_lock_that_nobody_came_to_write_into_is_no_obstacle_for_long(tmp_path: Path) -> None:
    lock = tmp_path / ".screener.lock"
    lock.write_text("")
    with pytest.raises(InputError, match="process unknown"), held(tmp_path):
        pass
    os.utime(lock, (0, 0))
    with held(tmp_path):
        assert owner.pid_of(lock.read_text()) == os.getpid()


def write_half(path: Path, failure: Exception) -> None:
    """Begin to write a file, and fail."""
    with whole_file.whole_file(path) as part:
        part.write_text("half of")
        raise failure


def test_a_full_disk_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        write_half(tmp_path / "a.csv", OSError(errno.ENOSPC, "No space left on device"))
    assert caught.value.code == "output.disk_full"
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_named_where_itk_does_not_tell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ctscreener.whole_file.FULL_BYTES", 1 << 62)
    with pytest.raises(InputError) as caught:
        write_half(tmp_path / "a.csv", OSError(errno.EIO, "nrrdSave failed"))
    assert caught.value.code == "output.disk_full"


def test_a_failure_of_ours_is_not_blamed_on_the_disk(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        write_half(tmp_path / "a.csv", ZeroDivisionError())
    assert list(tmp_path.iterdir()) == []
