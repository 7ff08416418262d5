"""Rows of all scans: which scans lend tissue, what is in memory, and what a limit of time leaves."""

import gc
import time
import weakref
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ctscreener.errors import InputError
from ctscreener.heads import Source
from Testing.training.plain_store import make_plain_store, write_encoder
from Testing.training.small_discriminator import PATIENTS, SETTINGS, settings_for
from training import discriminator
from training.data import drawn_rows
from training.data.drawing import Budget, DrawSettings, drawing_of
from training.data.drawn_rows import all_rows, count_kept, donors_of, keys_of
from training.data.store import Store
from training.encoder import load_encoder
from training.synthetic.tissue import Tissue


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store and an encoder."""
    made = tmp_path_factory.mktemp("drawn")
    make_plain_store(made / "store", PATIENTS)
    write_encoder(made / "encoder")
    return made


def test_donors_are_of_the_same_fold() -> None:
    folds = {f"scan{i}": i % 3 for i in range(12)}
    donors = donors_of(DrawSettings(donors=6), list(folds), folds)
    assert [len(own) for own in donors.values()] == [2, 2, 2]
    assert all(folds[name] == fold for fold, own in donors.items() for name in own)
    assert donors != donors_of(DrawSettings(donors=6, seed=1), list(folds), folds)


def test_one_scan_at_a_time_is_in_memory(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alive: list[int] = []
    made: weakref.WeakSet[Tissue] = weakref.WeakSet()
    ours = drawn_rows.tissue_of

    def watched(store: Store, name: str) -> Tissue:
        gc.collect()
        alive.append(len(made))
        found = replace(ours(store, name))
        made.add(found)
        return found

    monkeypatch.setattr(Tissue, "__hash__", object.__hash__)
    monkeypatch.setattr(drawn_rows, "tissue_of", watched)
    settings = settings_for(folder)
    draw = replace(settings.draw, donors=1)
    store = Store(settings.store)
    encoder, about = discriminator.load_encoder(settings.encoder)
    folds = {"a": 0, "b": 1, "c": 0, "d": 1}
    rows = all_rows(draw, folder / "memory", store, encoder, about.sha256, (Source(0),), folds)
    for _ in rows:
        pass
    # One donor of each fold stays, beside it the scan that is corrupted.
    assert len(alive) == 2 + len(PATIENTS)
    assert max(alive) <= 2


def test_scans_that_other_processes_corrupt_give_the_same_rows(folder: Path) -> None:
    store, (encoder, about) = Store(folder / "store"), load_encoder(folder / "encoder")
    folds = {"a": 0, "b": 1, "c": 0, "d": 1}
    found = []
    for workers in (1, 2):
        draw = replace(SETTINGS.draw, workers=workers)
        at = folder / f"rows_by_{workers}"
        found.append(dict(all_rows(draw, at, store, encoder, about.sha256, (Source(0),), folds)))
    for name, alone in found[0].items():
        for one, other in zip(alone, found[1][name], strict=True):
            np.testing.assert_array_equal(one.number, other.number)
            np.testing.assert_array_equal(
                one.features["stage0_cube1"], other.features["stage0_cube1"]
            )


@pytest.mark.parametrize("minutes", [-3.0, float("nan")])
def test_minutes_that_are_no_time_are_refused(minutes: float) -> None:
    with pytest.raises(InputError, match=r"--draw.max-minutes of 0 or more, found (-3|nan)"):
        DrawSettings(max_minutes=minutes)


@pytest.mark.parametrize("workers", [1, 2])
def test_where_the_time_is_up_each_scan_has_one_draw_and_a_later_run_goes_on(
    workers: int, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store, (encoder, about) = Store(folder / "store"), load_encoder(folder / "encoder")
    draw = replace(SETTINGS.draw, workers=workers, max_minutes=0.5)
    draw = replace(draw, rows=replace(draw.rows, draws=2))
    folds = {"a": 0, "b": 1, "c": 0, "d": 1}

    def drawn(budget: Budget | None) -> list[int]:
        given = (draw, tmp_path, store, encoder, about.sha256, (Source(0),), folds)
        return [len(own) for own in dict(all_rows(*given, budget=budget)).values()]

    # Half of the time is over when the first begins: the first two scans of four have no more.
    late = Budget(0.5, time.monotonic() - 15.0)
    assert drawn(late)[:2] == [1, 1]
    for path in tmp_path.glob("[cd]-1.npz"):
        path.unlink()
    assert drawn(Budget(0.0)) == [1, 1, 1, 1]
    keys = keys_of(draw, store, about.sha256, folds, store.names)
    told = drawing_of(draw, count_kept(tmp_path, keys), len(keys), 3.0)
    assert (told.made, told.asked, told.seconds) == (4, 8, 3.0)
    assert "4 of 8 draws were made, as the 0.5 minutes of" in capsys.readouterr().out
    assert drawn(Budget(None)) == [2, 2, 2, 2]
    assert drawn(Budget(0.0)) == [2, 2, 2, 2]
    drawing_of(draw, count_kept(tmp_path, keys), len(keys), 3.0)
    assert "draws were made" not in capsys.readouterr().out
    # Rows of other anomalies, under the same names, are none of these: nor are they late ones.
    draw = replace(draw, seed=1)
    assert drawn(Budget(0.0)) == [1, 1, 1, 1]
    assert count_kept(tmp_path, keys_of(draw, store, about.sha256, folds, store.names)) == 4
