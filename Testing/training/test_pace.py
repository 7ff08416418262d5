"""The table of paces says what the runs say, and the plan follows from it."""

import json
from pathlib import Path

import pytest

from ctscreener.errors import InputError
from ctscreener.settings import read_json, write_json
from training import pace
from training.pace import PaceSettings


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run of 100 steps, slow in the first ten and then at four a second, of 2 TFLOP each."""
    folder = tmp_path / "descriptor"
    write_json(folder / "run.json", {"stage": "descriptor"})
    write_json(folder / "pace.json", {"flop": 2e12})
    write_json(folder / "result.json", {"peak_bytes": 3 * 2**30})
    seconds = [float(step) if step < 10 else 10 + (step - 10) / 4 for step in range(100)]
    rows = [{"step": step, "seconds": at} for step, at in enumerate(seconds)]
    rows[50]["skipped"] = 3.0
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def test_the_first_steps_are_not_timed(run: Path, tmp_path: Path) -> None:
    text = pace.main(PaceSettings((run,), out=tmp_path / "pace.md"))
    assert "| descriptor | 100 | 3 | 32 | 4.00 | 2.0000 | - | 3.0 |" in text
    assert (tmp_path / "pace.md").read_text() == text
    assert read_json(tmp_path / "pace.json")["runs"]["descriptor"]["rate"] == pytest.approx(4)


def test_the_share_of_the_ceiling_is_operations_over_it(run: Path) -> None:
    table = "\n".join(pace.pace_lines({"a": pace.pace_of(run)}, 80e12))
    assert "| 4.00 | 2.0000 | 10% |" in table


def test_seconds_of_stages_are_summed(tmp_path: Path) -> None:
    (tmp_path / "seconds").write_text("unpack 20\nsome stage 31\n")
    text = pace.main(PaceSettings(seconds=tmp_path / "seconds"))
    assert "| some stage | 31 |\n| all | 51 |" in text


def test_the_plan_takes_what_was_measured_and_else_the_authors_pace(run: Path) -> None:
    text = pace.main(PaceSettings((run,), plan=True, cards=2, price=3))
    lines = {line.split(" | ")[0][2:]: line.split(" | ") for line in text.splitlines()[4:]}
    steps, hours, cost = (lines["descriptor"][column] for column in (1, 4, 5))
    assert steps == "300,000"
    assert float(hours) == pytest.approx(300_000 / 8 / 3600, abs=0.05)
    assert float(cost) == pytest.approx(2 * 3 * 300_000 / 8 / 3600, abs=1)
    assert float(lines["density"][4]) == pytest.approx(500_000 / 2 / 1.93 / 3600, abs=0.05)


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Expected a run with metrics"):
        pace.main(PaceSettings((tmp_path,)))
