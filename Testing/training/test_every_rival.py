"""What every rival does: it learns a scan, ends after a kill as without one, and scores the body.

Each rival's own test file gives it small settings by `settings_for`, and says what makes it that
method.
"""

import itertools
import json
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from ctscreener.errors import InputError
from ctscreener.preprocess import PreprocessSettings
from Testing.training.rivals import (
    fit,
    killed_fit,
    losses,
    one_batch,
    one_scan,
    phases_of,
    prepared,
    scores_of,
    weights,
)
from training.baselines.folder import load_folder
from training.baselines.method import RivalSettings, RunSettings, TrainedSettings
from training.baselines.methods import METHODS, NAMES
from training.baselines.stage import main
from training.baselines.two_phase import TwoPhaseSettings, build, phases
from training.data.store import Store
from training.flags import parse
from training.loop import schedule
from training.loop.schedule import Clock

STEPS, SAVED = 8, 2
OWN_SCANS = "mean_at_place"
"""Reads scans from their files, not from a store: see test_trivial.py."""
AGAINST_EACH_OTHER = ("gan",)
"""Phases whose loss need not fall."""
LEVELLED = [name for name in NAMES if hasattr(METHODS[name].settings, "channels")]
"""Rivals whose network has levels."""


def settings_of(name: str, folder: Path) -> RivalSettings:
    """Small settings of a rival, from its own test file."""
    return import_module(f"Testing.training.test_{name}").settings_for(folder)


def fitted(name: str, settings: RivalSettings, store: Path, run: Path) -> Path:
    """Fit a rival, which is trained or not."""
    if isinstance(settings, TrainedSettings):
        return fit(name, settings, store, run)
    assert main(name, replace(settings, data=RunSettings(store, run)))
    return run


@pytest.mark.parametrize("name", NAMES)
def test_its_settings_are_flags_of_the_command(name: str) -> None:
    """Two settings of one name, of which one is nested, are an error that only the command shows."""
    method = METHODS[name]
    assert parse(method.settings, ["--store", "s"], None, "baseline").data.store == Path("s")


@pytest.mark.parametrize("name", LEVELLED)
def test_levels_that_are_none_are_refused_before_a_run_folder_is_claimed(
    tmp_path: Path, name: str
) -> None:
    settings: Any = settings_of(name, tmp_path)
    data = RunSettings(one_scan(tmp_path / "store"), tmp_path / "run")
    for channels in ((), (4, 0)):
        with pytest.raises(InputError, match=f"are no levels. Use others: .* baseline {name} --"):
            main(name, replace(settings, data=data, channels=channels))
    assert not data.run.exists()


def test_a_budget_of_seconds_is_shared_by_the_phases(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A clock of which every look takes ten milliseconds: how busy the machine is does not matter.
    looks = itertools.count()
    clock = SimpleNamespace(monotonic=lambda: 0.01 * next(looks))
    monkeypatch.setattr(schedule, "time", clock)
    store = one_scan(tmp_path / "store")
    data = RunSettings(store, tmp_path / "run", seconds=3.0)
    settings = settings_of("two_phase", tmp_path)
    assert isinstance(settings, TwoPhaseSettings)
    assert main("two_phase", replace(settings, data=data))
    spent = [
        json.loads((tmp_path / "run" / phase / "metrics.jsonl").read_text().splitlines()[-1])
        for phase in ("restoring", "marking")
    ]
    # Two thirds and one; a step may begin before the end.
    for last, share in zip(spent, (2 / 3, 1 / 3), strict=True):
        assert last["seconds"] == pytest.approx(share * 3.0, abs=0.2)
    shares = [
        phase.share
        for phase in phases(settings, build(settings, PreprocessSettings()), Store(store))
    ]
    assert sum(shares) == pytest.approx(1)
    assert shares[0] == pytest.approx(2 / 3)


@pytest.mark.parametrize("name", [name for name in NAMES if name != OWN_SCANS])
def test_it_learns_resumes_and_scores_the_body(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_of(name, tmp_path)
    plain = METHODS[name].plain(settings)
    store = one_scan(tmp_path / "store", "ab", plain)
    if isinstance(settings, TrainedSettings):
        one_batch(monkeypatch)
        # One checkpoint in each phase before its end: each waits for the disk.
        monkeypatch.setattr(Clock, "due", lambda self: self.step == SAVED)
        loop = replace(settings.loop, steps=STEPS, log_every=1)
        settings = replace(settings, loop=loop)
        run = fit(name, settings, store, tmp_path / "whole")
        for phase in phases_of(run):
            found = losses(run, phase)
            assert phase in AGAINST_EACH_OTHER or found[-2:].mean() < found[:2].mean(), phase
        again = killed_fit(name, settings, store, tmp_path / "killed", monkeypatch)
    else:
        run, again = (fitted(name, settings, store, tmp_path / n) for n in ("one", "two"))
    first, second = weights(run), weights(again)
    assert first.keys() == second.keys()
    for key, value in first.items():
        torch.testing.assert_close(second[key], value, rtol=0, atol=0, equal_nan=True)
    scan, rival = prepared(store), load_folder(run / "fitted").rival
    scores = scores_of(rival, scan)
    pool = [n // m for n, m in zip(scan.shape, scores.shape, strict=True)]
    blocks = scan.body.reshape(
        [k for n, p in zip(scores.shape, pool, strict=True) for k in (n, p)]
    )
    np.testing.assert_array_equal(np.isfinite(scores), blocks.any(axis=(1, 3, 5)))
    assert np.nanstd(scores) > 0
