"""Work that is shared out: every item comes back once, whatever happens on the way."""

import os
import subprocess
import sys
from collections import Counter, deque
from concurrent.futures import CancelledError
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from dask import config
from distributed.comm import CommClosedError

import ctscreener
from ctscreener.cohort.attempt import Answer, Limits, attempt
from ctscreener.cohort.cluster import (
    ALLOCATOR,
    CONFIG,
    PATIENT,
    Cluster,
    ClusterSettings,
    connected,
    local_size,
)
from ctscreener.cohort.crowd import Crowd, Item
from ctscreener.cohort.tries import HUNG, Tries
from ctscreener.errors import InputError
from Testing.cohort.conftest import Heard
from Testing.cohort.made_up import Doing


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    (tmp_path / "notes").mkdir()
    return tmp_path / "notes"


def began(notes: Path) -> Counter[str]:
    return Counter(name.rsplit("-", 1)[0] for name in os.listdir(notes))


def limits(tmp_path: Path, seconds: float = 60.0) -> Limits:
    return Limits(seconds, Tries(tmp_path / "tries"))


def test_every_item_comes_back_once(
    workers_here: Cluster, heard: Heard, tmp_path: Path, notes: Path
) -> None:
    items = [(f"n{k}", ("double", k)) for k in range(60)]
    crowd = Crowd(workers_here, limits(tmp_path), heard)
    answers = list(crowd.answers(Doing(notes), items))
    assert sorted((answer.name, answer.value) for answer in answers) == sorted(
        (f"n{k}", 2 * k) for k in range(60)
    )
    assert set(began(notes).values()) == {1}
    assert heard.lines == []
    assert not (tmp_path / "tries").exists(), "nothing is left behind"


def test_what_cannot_be_used_and_faults_of_ours_are_answers(
    workers_here: Cluster, heard: Heard, tmp_path: Path, notes: Path
) -> None:
    crowd = Crowd(workers_here, limits(tmp_path), heard)
    items = [("a", ("refuse", 1)), ("b", ("fail", 2)), ("c", ("double", 3))]
    found = {answer.name: answer for answer in crowd.answers(Doing(notes), items)}
    assert found["a"].refused is not None
    assert found["a"].refused.code == "scan.missing"
    assert "ZeroDivisionError: surprise" in found["b"].fault
    assert found["c"] == Answer("c", 6)


def test_a_full_disk_ends_it_and_no_item_is_blamed(
    workers_here: Cluster, heard: Heard, tmp_path: Path, notes: Path
) -> None:
    crowd = Crowd(workers_here, limits(tmp_path), heard)
    items = [("full", ("full", 0)), *((f"n{k}", ("slow", k)) for k in range(200))]
    with pytest.raises(InputError) as told:
        list(crowd.answers(Doing(notes), items))
    assert told.value.code == "output.disk_full"
    assert sum(began(notes).values()) < 100, "the others are not tried"


def test_the_scheduler_holds_no_more_than_workers_need(
    workers_here: Cluster, heard: Heard, tmp_path: Path, notes: Path
) -> None:
    crowd = Crowd(workers_here, limits(tmp_path), heard)
    most = 0
    for _ in crowd.answers(Doing(notes), ((f"n{k}", ("double", k)) for k in range(150))):
        most = max(most, len(crowd._flying))
    assert 0 < most <= 32


def test_a_try_is_known_for_as_long_as_nobody_has_ended_it(tmp_path: Path) -> None:
    tries = Tries(tmp_path / "tries")
    tries.forget()
    with tries.begun("a"):
        assert tries.lost("a") == [""]
        assert tries.lost("b") == []
    assert tries.lost("a") == []
    with pytest.raises(ZeroDivisionError), tries.begun("a"):
        raise ZeroDivisionError
    assert tries.lost("a") == [], "an exception is an end, too"


def test_two_lost_workers_set_an_item_aside_and_it_is_named(tmp_path: Path, notes: Path) -> None:
    few = limits(tmp_path)
    few.tries.forget()
    few.tries._file("scan 7", 1).touch()
    assert attempt(Doing(notes), "scan 7", ("double", 1), few) == Answer("scan 7", 2, lost=1)
    for number in (1, 2):
        few.tries._file("scan 7", number).touch()
    answer = attempt(Doing(notes), "scan 7", ("double", 2), few)
    assert answer.refused is not None
    assert answer.refused.code == "scan.ends_worker"
    assert "scan 7" in answer.refused.message
    assert began(notes) == {"double-1": 1}
    assert len(few.tries.lost("scan 7")) == 2, "the answer may be lost with its worker"


def test_a_hang_is_told_from_an_end(tmp_path: Path, notes: Path) -> None:
    few = limits(tmp_path, 120.0)
    few.tries.forget()
    for number in (1, 2):
        few.tries._file("a", number).write_text(HUNG)
    answer = attempt(Doing(notes), "a", ("double", 1), few)
    assert answer.refused is not None
    assert answer.refused.code == "scan.hangs"
    assert "2 minutes" in answer.refused.message


def test_a_worker_at_which_something_hangs_ends_and_says_so(tmp_path: Path) -> None:
    script = (
        "import sys, time\nfrom pathlib import Path\n"
        "from ctscreener.cohort.attempt import _ended_after\n"
        "with _ended_after(60, Path(sys.argv[1])): pass\n"
        "with _ended_after(0.1, Path(sys.argv[1])): time.sleep(60)\n"
    )
    engine = str(Path(ctscreener.__file__).parents[1])
    ended = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "try")],
        env={**os.environ, "PYTHONPATH": engine},
        check=False,
    )
    assert ended.returncode == 1
    assert (tmp_path / "try").read_text() == HUNG


def test_a_worker_that_was_lost_on_the_way_is_one_line(
    workers_here: Cluster, heard: Heard, tmp_path: Path
) -> None:
    crowd = Crowd(workers_here, limits(tmp_path), heard)
    crowd._heard(Answer("a", 1, lost=1), ("a", 0))
    assert [line.partition(":")[0] for line in heard.lines] == ["cohort.worker_lost"]
    aside = InputError("scan.ends_worker", "It ended them.", "Look.")
    crowd._heard(Answer("b", refused=aside, lost=2), ("b", 0))
    assert len(heard.lines) == 1, "the ledger tells of it"


@pytest.mark.parametrize("fault", [CommClosedError, CancelledError, TimeoutError])
def test_an_answer_that_is_lost_while_it_is_fetched_is_asked_for_again(
    workers_here: Cluster, heard: Heard, tmp_path: Path, fault: type[Exception]
) -> None:
    def gone() -> Answer:
        raise fault("gone")

    few, item, left = limits(tmp_path), ("a", ("double", 1)), deque[Item]()
    crowd = Crowd(workers_here, few, heard)
    few.tries.forget()
    few.tries._file("a", 1).touch()
    future: Any = SimpleNamespace(key="k", status="finished", result=gone, release=list)
    crowd._flying["k"] = future, item
    assert list(crowd._landed(future, left)) == []
    assert list(left) == [item]
    assert few.tries.lost("a") == [], "whoever worked on it is not to blame"


def test_a_machine_is_shared_out_by_cores_and_memory() -> None:
    workers, threads, memory = local_size(ClusterSettings(workers=2, memory_gib=3))
    assert (workers, memory) == (2, 3 * 2**30)
    assert threads >= 1
    workers, _, memory = local_size(ClusterSettings())
    assert workers >= 1
    assert workers == 1 or memory >= 4 * 2**30


def test_a_scheduler_that_is_not_there_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ctscreener.cohort.cluster.CONNECT_SECONDS", 0.3)
    with pytest.raises(InputError) as told, connected(ClusterSettings("tcp://127.0.0.1:9")):
        pass
    assert told.value.code == "cohort.scheduler"


def test_a_scheduler_that_comes_back_is_two_lines_and_one_that_stays_away_an_error(
    heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    def client(status: str) -> Any:  # noqa: ANN401
        return SimpleNamespace(status=status)

    comes = iter([TimeoutError("not yet"), client("running")])

    def connect(_address: str, **_options: object) -> Any:  # noqa: ANN401
        found = next(comes)
        if isinstance(found, Exception):
            raise found
        return found

    monkeypatch.setattr("ctscreener.cohort.cluster.Client", connect)
    monkeypatch.setattr("ctscreener.cohort.cluster.time.sleep", lambda _seconds: None)
    cluster = Cluster("tcp://10.0.0.1:8786", client("running"), 60.0, "")
    cluster.regain(heard)
    assert heard.lines == [], "nothing was lost"
    cluster.client = client("closed")
    cluster.regain(heard)
    told = [line.partition(":")[0] for line in heard.lines]
    assert told == ["cohort.scheduler_lost", "cohort.scheduler_back"]
    gone = Cluster("tcp://10.0.0.1:8786", client("connecting"), -1.0, "")
    with pytest.raises(InputError) as error:
        gone.regain(heard)
    assert error.value.code == "cohort.scheduler"
    assert "10.0.0.1:8786" in str(error.value)


def test_workers_of_this_machine_allocate_as_a_plain_run_does() -> None:
    with config.set(CONFIG), config.set(PATIENT):
        told = dict(config.get("distributed.nanny.pre-spawn-environ"))
    assert ALLOCATOR.items() <= told.items()
    assert int(told["MALLOC_TRIM_THRESHOLD_"]) > 2**20, "Dask's own has every array paged anew"


@pytest.mark.skipif(os.name != "posix", reason="processes are killed by a signal")
def test_real_workers_that_are_killed_cost_their_item_alone(
    heard: Heard, tmp_path: Path, notes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # This work needs no torch; and a machine with much other work may start workers slowly.
    monkeypatch.setattr("ctscreener.cohort.cluster.PRELOAD", ())
    monkeypatch.setattr("ctscreener.cohort.crowd.WAITING_SECONDS", 3600.0)
    settings = ClusterSettings(workers=1, memory_gib=1)
    items = [("killer", ("kill", 0)), *((f"n{k}", ("slow", k)) for k in range(4))]
    with connected(settings) as cluster:
        assert cluster.client.scheduler is not None
        assert "//127.0.0.1:" in cluster.client.scheduler.address
        crowd = Crowd(cluster, limits(tmp_path), heard)
        found = {answer.name: answer for answer in crowd.answers(Doing(notes), items)}
        # And one that hangs: its worker ends itself, twice, and the next item has a new one.
        hanging = [("hanger", ("hang", 0)), ("after", ("double", 9))]
        crowd = Crowd(cluster, limits(tmp_path, seconds=1.0), heard)
        hung = {answer.name: answer for answer in crowd.answers(Doing(notes), hanging)}
    refused = hung["hanger"].refused
    assert refused is not None
    assert refused.code == "scan.hangs"
    assert (hung["hanger"].lost, hung["after"].value) == (2, 18)
    codes = {name: answer.refused.code for name, answer in found.items() if answer.refused}
    assert codes == {"killer": "scan.ends_worker"}
    assert found["killer"].lost == 2
    assert began(notes)["kill-0"] >= 2
    assert [found[f"n{k}"].value for k in range(4)] == [0, 2, 4, 6]
    assert {found[f"n{k}"].lost for k in range(4)} == {0}, "only the guilty are blamed"
    assert heard.lines == [], "the answer names it; nothing else is said"
