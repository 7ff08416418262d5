"""The evaluation: its numbers are those of scikit-learn on the same voxels, and it goes on."""

import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from ctscreener.errors import InputError
from ctscreener.files import read_mask, read_scan, write_map
from ctscreener.model import load_model
from Testing.training.small_evaluation import (
    AFFINE,
    SHAPE,
    four_scans,
    results_of,
    screened,
    small_settings,
    untrained_model,
    write_case,
)
from training.baselines.trivial import gradient_scores
from training.evaluate import EvaluateSettings, main
from training.evaluation.cases import Case, find_cases
from training.evaluation.curves import auroc
from training.evaluation.evaluator import Evaluator
from training.evaluation.measured import MeasuredScan
from training.evaluation.protocols import PROTOCOLS
from training.tables import TablesSettings
from training.tables import main as print_tables


@pytest.fixture
def model(tmp_path: Path, rng: np.random.Generator) -> Path:
    return untrained_model(tmp_path / "untrained", rng)


@pytest.fixture
def scans(tmp_path: Path, rng: np.random.Generator) -> Path:
    return four_scans(tmp_path / "scans", rng)


@pytest.fixture
def settings(tmp_path: Path, model: Path, scans: Path) -> EvaluateSettings:
    return small_settings(tmp_path / "out", model, scans)


def test_results_are_those_of_scikit_learn_on_the_voxels_that_the_model_scores(
    settings: EvaluateSettings, scans: Path
) -> None:
    results = results_of(settings)
    (part,) = results["sets"]
    assert [entry["name"] for entry in part["scans"]] == ["a", "b", "c"]
    rarities, gradient, lesion = [], [], []
    for entry in part["scans"]:
        scan = read_scan(scans / f"{entry['name']}.nii.gz")
        mask = read_mask(scans / f"{entry['name']}_lesion.nii.gz", scan) > 0
        rarity = screened(settings, scans / f"{entry['name']}.nii.gz")
        body = np.isfinite(rarity)
        assert body[mask].all()
        rarities.append(rarity[body])
        gradient.append(gradient_scores(scan, body)[body])
        lesion.append(mask[body])
        expected = roc_auc_score(lesion[-1], rarities[-1])
        assert entry["auroc"]["Screener"] == pytest.approx(expected, abs=2e-3)
    for name, maps in {"Screener": rarities, "gradient": gradient}.items():
        found = part["scores"][name]["auroc"]
        expected = roc_auc_score(np.concatenate(lesion), np.concatenate(maps))
        assert found["pooled"]["value"] == pytest.approx(expected, abs=2e-3)
        assert found["pooled"]["low"] <= found["pooled"]["value"] <= found["pooled"]["high"]
    model = load_model(settings.scores[0].removeprefix("model:"))
    assert results["model"]["weights_sha256"] == model.sha256


def test_another_family_counts_as_neither_lesion_nor_healthy(settings: EvaluateSettings) -> None:
    whole = results_of(settings)["sets"][0]
    first = results_of(dataclasses.replace(settings, labels=(1,)))["sets"][0]
    voxels = {s["name"]: s["lesion_voxels"] for s in first["scans"]}
    assert voxels == {"a": 27, "b": 27, "c": 0}
    assert first["scans"][2]["auroc"]["Screener"] is None
    assert whole["scans"][1]["lesion_voxels"] > 27
    (case, *_) = find_cases(settings.sets, (2,))
    # Scan a holds the other family alone: its lesion voxels are gone, not negatives.
    evaluator = Evaluator.of(settings)
    everything = evaluator.measure(find_cases(settings.sets)[0]).counts("random", "body-only")
    counts = evaluator.measure(case).counts("random", "body-only")
    assert counts.positives.sum() == 0
    assert counts.negatives.sum() == everything.negatives.sum()
    # As healthy tissue, they are negatives.
    (healthy, *_) = find_cases(settings.sets, (2,), others=("healthy",))
    organ = evaluator.measure(healthy).counts("random", "body-only")
    assert organ.negatives.sum() == counts.negatives.sum() + 27


def test_a_set_of_phantoms_is_measured_on_its_family(
    settings: EvaluateSettings, scans: Path
) -> None:
    (scans / "manifest.json").write_text('{"settings": {"family": "lung_opacity"}}')
    assert {case.label for case in find_cases(settings.sets)} == {2}


def test_a_second_run_measures_only_what_changed(
    settings: EvaluateSettings,
    scans: Path,
    rng: np.random.Generator,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first = results_of(settings)
    measured = []
    original = Evaluator.measure

    def spy(self: Evaluator, case: Case) -> MeasuredScan:
        measured.append(case.name)
        return original(self, case)

    monkeypatch.setattr(Evaluator, "measure", spy)
    assert results_of(settings) == first
    assert measured == []
    write_case(scans, "b", rng, (1,))
    assert results_of(settings) != first
    assert measured == ["b"]
    # What a killed run or a full disk left half-written is measured again.
    kept = settings.out / "scans" / "scans" / "a" / "gradient.npz"
    kept.write_bytes(kept.read_bytes()[: kept.stat().st_size // 2])
    results_of(settings)
    assert measured == ["b", "a"]


@pytest.fixture
def threads_of_two_workers() -> Iterator[None]:
    """As many threads as each of two processes has: sums round otherwise with another number."""
    before = torch.get_num_threads()
    torch.set_num_threads(max(1, (os.cpu_count() or 1) // 2))
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("threads_of_two_workers")
def test_several_processes_and_machines_find_the_same(settings: EvaluateSettings) -> None:
    def numbers(results: dict) -> tuple:
        (part,) = results["sets"]
        return part["scores"], [entry["auroc"] for entry in part["scans"]], results["rarities"]

    settings = dataclasses.replace(settings, unlabelled=settings.sets)
    alone = numbers(results_of(settings))
    assert [part["set"] for part in alone[2]] == ["scans", "unlabelled"]
    two = dataclasses.replace(settings, out=settings.out / "two", workers=2)
    assert numbers(results_of(two)) == alone
    shared = dataclasses.replace(settings, out=settings.out / "shared")
    for number in (1, 2):
        main(dataclasses.replace(shared, share=(number, 2)))
        assert not (shared.out / "results.json").exists()
    kept = sorted((shared.out / "scans").rglob("*.npz"))
    before = [path.stat().st_mtime_ns for path in kept]
    assert numbers(results_of(shared)) == alone
    assert [path.stat().st_mtime_ns for path in kept] == before


def test_unlabelled_scans_count_for_rarities_alone(
    settings: EvaluateSettings, scans: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labelled = results_of(settings)
    both = results_of(dataclasses.replace(settings, unlabelled=(scans,)))
    assert both["sets"] == labelled["sets"]
    with_masks, unlabelled = both["rarities"]
    assert labelled["rarities"] == [with_masks]
    assert [scan["name"] for scan in unlabelled["each"]] == ["a", "b", "c", "healthy"]
    # A mask beside a scan is heeded there too: the same voxels, the same findings.
    for one, again in zip(with_masks["each"], unlabelled["each"], strict=False):
        assert one == again
    entry = unlabelled["each"][3]
    rarity = screened(settings, scans / "healthy.nii.gz")
    assert entry["voxels"] == np.isfinite(rarity).sum()
    assert entry["above"] == [(rarity >= level).sum() for level in (1, 2, 3, 4)]
    assert unlabelled["seen"] is None
    alone = results_of(
        dataclasses.replace(settings, sets=(), unlabelled=(scans / "healthy.nii.gz",))
    )
    assert alone["sets"] == []
    (only,) = alone["rarities"]
    assert only["levels"][0]["share"]["value"] == pytest.approx(
        entry["above"][0] / entry["voxels"], abs=1e-6
    )
    capsys.readouterr()
    out = settings.out / "page"
    print_tables(TablesSettings((settings.out / "results.json",), out=out))
    assert "| unlabelled | 1, 1" in capsys.readouterr().out
    assert "False findings and calibration" in (out / "page.html").read_text()


def test_every_protocol_and_both_grids_are_measured(settings: EvaluateSettings) -> None:
    for grid in ("own", "prepared"):
        asked = dataclasses.replace(settings, protocols=PROTOCOLS, grid=grid, limit=1)
        results = results_of(asked)
        assert results["measuring"]["grid"] == grid
        assert [part["protocol"] for part in results["sets"]] == list(PROTOCOLS)
        evaluator = Evaluator.of(asked)
        (case,) = find_cases(asked.sets, limit=1)
        scored, everything, drawn = (
            evaluator.measured(case).counts("random", protocol) for protocol in PROTOCOLS
        )
        # Chance among the scored voxels; with the air as negatives it looks far better.
        assert abs(auroc(scored).value - 0.5) < 0.2
        assert auroc(everything).value > auroc(scored).value
        assert everything.negatives.sum() > scored.negatives.sum()
        assert drawn.negatives.sum() == 1000
        assert drawn.positives.sum() == scored.positives.sum() == (27)


def test_a_mask_on_another_grid_is_brought_to_the_scans_where_asked(
    settings: EvaluateSettings, scans: Path
) -> None:
    mask = read_mask(scans / "a_lesion.nii.gz", read_scan(scans / "a.nii.gz"))
    # The same mask without its outermost slices: other voxels, same places.
    moved = AFFINE.copy()
    moved[:3, 3] += moved[:3, :3] @ (1, 2, 3)
    write_map(scans / "a_lesion.nii.gz", mask[1:, 2:, 3:], moved)
    limited = dataclasses.replace(settings, limit=1)
    with pytest.raises(InputError, match="found none"):
        main(limited)
    results = results_of(dataclasses.replace(limited, resample_masks=True))
    assert results["sets"][0]["scans"][0]["lesion_voxels"] == (mask > 0).sum()


def test_scans_with_empty_masks_are_negatives_alone(
    settings: EvaluateSettings, scans: Path
) -> None:
    write_map(scans / "healthy_lesion.nii.gz", np.zeros(SHAPE), AFFINE)
    with_it = results_of(settings)["sets"][0]
    entry = next(scan for scan in with_it["scans"] if scan["name"] == "healthy")
    assert entry["lesion_voxels"] == entry["regions"] == 0
    assert entry["auroc"] == {"Screener": None, "gradient": None, "random": None}
    means = with_it["scores"]["gradient"]["auroc"]["mean"]["value"]
    known = [s["auroc"]["gradient"] for s in with_it["scans"] if s["name"] != "healthy"]
    assert means == pytest.approx(np.mean(known), abs=1e-4)
    (scans / "healthy_lesion.nii.gz").unlink()
    without = results_of(dataclasses.replace(settings, out=settings.out / "fewer"))["sets"][0]
    pooled = [
        part["scores"]["gradient"]["auroc"]["pooled"]["value"] for part in (with_it, without)
    ]
    assert pooled[0] != pooled[1]


def test_what_cannot_be_used_is_listed_and_the_rest_is_measured(
    settings: EvaluateSettings, scans: Path
) -> None:
    write_map(scans / "b_lesion.nii.gz", np.zeros((3, 4, 5)), AFFINE)
    results = results_of(settings)
    assert [entry["scan"] for entry in results["skipped"]] == ["b"]
    assert [entry["name"] for entry in results["sets"][0]["scans"]] == ["a", "c"]


def test_tables_show_every_score_of_every_result(
    settings: EvaluateSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    main(dataclasses.replace(settings, limit=1))
    table = (settings.out / "table.md").read_text()
    assert capsys.readouterr().out == table
    print_tables(TablesSettings((settings.out / "results.json",) * 2))
    scores, rarities, notes = capsys.readouterr().out.split("\n\n")
    # A row each for Screener, gradient and random; one each for four rarities.
    for part, rows in ((scores, 2 * 3), (rarities, 2 * 4)):
        lines = part.splitlines()
        assert len(lines) == 2 + rows
        assert {len(line) for line in lines} == {len(lines[0])}
    assert "scans (1 scans): not known" in notes
