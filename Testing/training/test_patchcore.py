"""PatchCore: its bank covers, is what the body holds, and the distance is that to the nearest."""

import hashlib
import json
from pathlib import Path

import numpy as np
import torch

from Testing.training.rivals import one_scan, prepared, random_features, scores_of, with_lump
from training.baselines.folder import load_folder
from training.baselines.method import RunSettings
from training.baselines.patchcore import Bank, PatchCore, PatchCoreSettings, coreset
from training.baselines.stage import main


def test_a_bank_of_a_scan_knows_it_and_not_a_lump(tmp_path: Path) -> None:
    features = random_features(tmp_path)
    store, run = one_scan(tmp_path / "store"), tmp_path / "run"
    settings = PatchCoreSettings(
        RunSettings(store, run), features, tile=(8, 24, 24), bank=10_000, smooth=0.0
    )
    assert main("patchcore", settings)
    rival = load_folder(run / "fitted").rival
    assert isinstance(rival, PatchCore)
    assert rival.bank.rows.shape[1] == 64
    scan, lump = with_lump(prepared(store))
    scores = scores_of(rival, scan)
    np.testing.assert_array_equal(np.isfinite(scores), scan.body)
    rest = scan.body & ~lump
    assert np.median(scores[lump & scan.body]) > np.quantile(scores[rest], 0.9)
    assert features.features is not None
    known = json.loads((run / "fitted" / "baseline.json").read_text())["files"]["features"]
    assert known["sha256"] == hashlib.sha256(features.features.read_bytes()).hexdigest()
    # The bank, drawn anew, is the same.
    settings = PatchCoreSettings(
        RunSettings(store, tmp_path / "again"), features, tile=(8, 24, 24), smooth=0.0
    )
    assert main("patchcore", settings)
    again = load_folder(tmp_path / "again" / "fitted").rival
    assert isinstance(again, PatchCore)
    assert torch.equal(again.bank.rows, rival.bank.rows)


def plain_greedy(rows: np.ndarray, first: int, count: int) -> list[int]:
    """The farthest row from all that are chosen, again and again."""
    chosen = [first]
    while len(chosen) < count:
        distances = np.linalg.norm(rows[:, None] - rows[chosen], axis=2).min(axis=1)
        chosen.append(int(distances.argmax()))
    return chosen


def test_the_coreset_is_that_of_the_greedy_search() -> None:
    rows = torch.randn(60, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = coreset(rows, 20, 5, torch.Generator().manual_seed(1)).tolist()
    assert found == plain_greedy(rows.numpy(), found[0], 20)
    assert coreset(rows, 100, 5, torch.Generator()).tolist() == list(range(60))
    projected = coreset(rows.float(), 20, 3, torch.Generator().manual_seed(1))
    assert len(set(projected.tolist())) == 20


def test_the_distance_is_that_to_the_nearest() -> None:
    bank = Bank(6)
    bank.rows = torch.randn(30, 6)
    rows = torch.randn(50, 6)
    expected = np.linalg.norm(rows[:, None].numpy() - bank.rows.numpy(), axis=2).min(axis=1)
    np.testing.assert_allclose(bank.distance(rows), expected, rtol=1e-4, atol=1e-4)
    assert len(bank.distance(rows[:0])) == 0
    other = Bank(6)
    other.load_state_dict(bank.state_dict())
    assert torch.equal(other.rows, bank.rows)
