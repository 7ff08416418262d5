"""PatchCore: its bank covers, is what the body holds, and the distance is that to the nearest."""

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from ctscreener.errors import InputError
from ctscreener.networks import NetworkSettings, UNet
from ctscreener.settings import write_json
from Testing.training.plain_store import write_encoder
from Testing.training.rivals import one_scan, prepared, random_features, scores_of, with_lump
from training.baselines.folder import load_folder
from training.baselines.method import RunSettings
from training.baselines.parts.readers import ReaderSettings
from training.baselines.patchcore import Bank, PatchCore, PatchCoreSettings, coreset
from training.baselines.stage import main
from training.loop.loop import seeded


def settings_for(folder: Path) -> PatchCoreSettings:
    """A small one."""
    reads = ReaderSettings(slices=random_features(folder))
    return PatchCoreSettings(features=reads, tile=(8, 24, 24), bank=10_000, smooth=0.0)


def test_a_bank_of_a_scan_knows_it_and_not_a_lump(tmp_path: Path) -> None:
    features = random_features(tmp_path)
    store, run = one_scan(tmp_path / "store"), tmp_path / "run"
    settings = replace(settings_for(tmp_path), data=RunSettings(store, run))
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


def test_it_reads_screeners_descriptors_and_knows_their_sizes_without_the_run(
    tmp_path: Path,
) -> None:
    run, store = tmp_path / "descriptor", one_scan(tmp_path / "store")
    network = NetworkSettings(channels=(8, 16), out=6)
    write_json(run / "settings.json", {"network": network})
    with seeded(1):
        described = UNet(network)
    save_file(described.state_dict(), run / "network.safetensors")
    reads = ReaderSettings("descriptor", descriptor=run)
    settings = PatchCoreSettings(
        RunSettings(store, tmp_path / "run"), reads, tile=(8, 24, 24), smooth=0.0
    )
    assert main("patchcore", settings)
    shutil.rmtree(run)
    rival = load_folder(tmp_path / "run" / "fitted").rival
    assert isinstance(rival, PatchCore)
    x = torch.rand(1, 1, 8, 24, 24)
    rows = rival.reader.rows(x)
    assert rows.shape == (1, 4, 6, 6, 6)
    block = described.dense(x)[0, :, 2:4, 4:8, 8:12].mean(dim=(1, 2, 3))
    torch.testing.assert_close(rows[0, 1, 1, 2], block, rtol=1e-3, atol=1e-4)
    scan, lump = with_lump(prepared(store))
    scores = scores_of(rival, scan)
    assert np.median(scores[lump & scan.body]) > np.quantile(scores[scan.body & ~lump], 0.8)


def test_it_reads_a_ct_encoder_in_hu_at_its_places(tmp_path: Path) -> None:
    write_encoder(tmp_path / "encoder")
    store = one_scan(tmp_path / "store", plain=True)
    reads = ReaderSettings("encoder", encoder=tmp_path / "encoder")
    settings = PatchCoreSettings(
        RunSettings(store, tmp_path / "run"), reads, tile=(8, 24, 24), smooth=0.0
    )
    assert main("patchcore", settings)
    rival = load_folder(tmp_path / "run" / "fitted").rival
    assert isinstance(rival, PatchCore)
    hu = torch.randint(-1100, 300, (1, 1, 9, 17, 18)).float()
    rows = rival.reader.rows(hu / 255)
    fine, coarse = rival.reader.encoder(((hu + 1000) / 1200).clamp(0, 1))  # pyright: ignore[reportCallIssue]
    assert rows.shape == (1, 5, 5, 5, 20)
    torch.testing.assert_close(rows[0, 4, 2, 2, :8], fine[0, :, 4, 2, 2], rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(rows[0, 2, 2, 4, 8:], coarse[0, :, 1, 1, 2], rtol=1e-3, atol=1e-5)
    # A feature lies at a voxel: there its score is its own.
    grid = torch.rand(1, 5, 5, 5)
    grid[0, 4] = torch.nan
    found = rival.reader.placed(grid, (9, 17, 18))
    assert found.shape == (1, 9, 17, 18)
    torch.testing.assert_close(found[0, 4, 8, 12], grid[0, 2, 2, 3])
    torch.testing.assert_close(found[0, 0, 16, 17], grid[0, 0, 4, 4])
    assert found[0, 8].isnan().all()
    with pytest.raises(InputError) as error:
        main(
            "patchcore",
            replace(settings, data=RunSettings(one_scan(tmp_path / "grey"), tmp_path / "b")),
        )
    assert error.value.code == "baseline.grey"


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
