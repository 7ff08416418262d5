"""Pooled results are those of all scans at once, and nothing that cannot be added up is pooled."""

import copy
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ctscreener.calibration import Calibration
from ctscreener.errors import InputError
from ctscreener.files import read_scan
from ctscreener.findings import NOTICE
from ctscreener.model import load_model, save_model
from ctscreener.preprocess import prepare
from ctscreener.screening import ScreenSettings, score
from ctscreener.settings import read_json, write_json
from Testing.training.small_evaluation import (
    four_scans,
    results_of,
    small_settings,
    untrained_model,
)
from training.evaluation.pooled import pool
from training.evaluation.rarities import COUNTED, Rarities
from training.page.pooled_table import FOUND_HEADER, pooled_table
from training.tables import TablesSettings, main

GROUPS = {"one": ("b",), "two": ("a", "healthy"), "three": ("c",)}
Made = Any
"""Results with those of their keys that a test is about."""


def calibrated(folder: Path, path: Path) -> Path:
    """The model, its rarity as in one scan: there are findings."""
    model = load_model(str(folder))
    prepared = prepare(read_scan(path), model.settings.preprocess)
    scores = score(prepared, model.networks, ScreenSettings(), torch.device("cpu")).scores
    scale = Calibration.fit(scores[np.isfinite(scores)])
    save_model(folder, model.networks, scale, {}, "")
    return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Made]:
    """Four scans, one without a lesion, measured at once, and by groups of their own."""
    folder, rng = tmp_path_factory.mktemp("pooled"), np.random.default_rng(5)
    whole = four_scans(folder / "scans", rng)
    model = calibrated(untrained_model(folder / "model", rng), whole / "a.nii.gz")
    # A scan without a known lesion is measured as one whose mask is empty.
    shutil.copy(whole / "c_lesion.nii.gz", whole / "healthy_lesion.nii.gz")
    for group, names in GROUPS.items():
        (folder / group / "scans").mkdir(parents=True)
        for name in names:
            for path in whole.glob(f"{name}*"):
                shutil.copy(path, folder / group / "scans")
    results = {}
    for group in ("", *GROUPS):
        scans = folder / group / "scans"
        settings = small_settings(folder / f"results_{group}", model, scans)
        results[group] = results_of(replace(settings, labels=(1,), unlabelled=(scans,)))
    return results


def groups(made: dict[str, Made]) -> list[Made]:
    return copy.deepcopy([made[group] for group in GROUPS])


def test_pooling_counts_as_if_all_scans_were_measured_at_once(made: dict[str, Made]) -> None:
    pooled: Made = pool(groups(made))
    assert [part["set"] for part in pooled["rarities"]] == ["scans", "unlabelled"]
    for found, expected in zip(pooled["rarities"], made[""]["rarities"], strict=True):
        assert sorted(found["each"], key=lambda scan: scan["name"]) == expected["each"]
        for name in ("scans", "patients", "lesions", "levels", "seen"):
            assert found[name] == expected[name], name
        # The counts, by numpy, from what each scan has.
        for k, counted in enumerate(found["counted"]):
            assert counted.pop("rarity") == (2, 3, 4)[k]
            for name, value in counted.items():
                assert value == np.array([scan[name] for scan in expected["each"]])[:, k].sum()
    assert pooled["rarities"][0]["lesions"] == 2
    assert pooled["rarities"][0]["levels"][1]["findings"]["value"] > 0


def test_each_count_is_summed_under_its_own_name(made: dict[str, Made]) -> None:
    results, rng = groups(made), np.random.default_rng(1)
    scans = [scan for one in results for scan in one["rarities"][0]["each"]]
    for scan in scans:
        for name in COUNTED[1:]:
            scan[name] = rng.integers(1, 99, 3).tolist()
    for k, counted in enumerate(pool(results)["rarities"][0]["counted"]):
        for name in COUNTED[1:]:
            assert counted[name] == sum(scan[name][k] for scan in scans), name


def test_areas_are_means_over_all_scans_with_lesions(made: dict[str, Made]) -> None:
    (found,), (expected,) = pool(groups(made))["sets"], made[""]["sets"]
    assert (found["scans"], found["patients"]) == (4, expected["patients"])
    assert found["regions"] == expected["regions"]
    assert (
        found["scores"].keys() == expected["scores"].keys() == {"Screener", "gradient", "random"}
    )
    for name, areas in found["scores"].items():
        for area, mean in areas.items():
            for end, value in expected["scores"][name][area]["mean"].items():
                assert mean[end] == pytest.approx(value, abs=2e-6), (name, area, end)


def test_what_a_scan_counts_is_kept_whole() -> None:
    rng = np.random.default_rng(0)
    counts = {name: rng.integers(0, 9, 4 if name == "above" else 3) for name in COUNTED}
    one = Rarities(voxels=10**10, lesions=3, **counts)
    np.testing.assert_array_equal(Rarities.from_plain(one.plain()).row(), one.row())


def test_tables_are_written_and_say_what_they_rest_on(
    made: dict[str, Made], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = []
    for number, one in enumerate(groups(made)):
        paths.append(tmp_path / f"{number}.json")
        write_json(paths[-1], one)
    main(TablesSettings(tuple(paths), out=tmp_path / "page", pool=True))
    text = (tmp_path / "page" / "pooled.md").read_text()
    assert capsys.readouterr().out.startswith(text)
    assert NOTICE in text
    assert text.count("`model` (") == 3
    pooled = read_json(tmp_path / "page" / "pooled.json")
    assert pooled == pool(groups(made))
    assert (pooled["format"], pooled["format_version"]) == ("ctscreener-pooled", 1)
    rows = [
        [c.strip() for c in line.split("|")[1:-1]] for line in text.splitlines() if "|" in line
    ]
    start = rows.index(list(FOUND_HEADER))
    for row, counted in zip(rows[start + 2 :], pooled["rarities"][0]["counted"], strict=False):
        assert row[:3] == ["scans", "4, 4", str(counted["rarity"])]
        assert row[3:5] == [f"{counted['met']} of 2", f"{counted['listed_met']} of 2"]
        assert row[5].startswith(f"{counted['findings'] / 4:.1f}")
        assert row[6].startswith(f"{counted['listed'] / 4:.1f}")
    # Scans alone, in which no lesion is known, have one table.
    alone: Made = {**groups(made)[1], "sets": [], "rarities": []}
    assert "AUROC" not in pooled_table(pool([alone]))


def change(change_it: Callable[[Made], Any]) -> Callable[[list[Made]], Any]:
    return lambda results: change_it(results[1])


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda results: results.append(results[0]), "found b of scans in two"),
        (change(lambda r: r["measuring"].update(seed=3)), "the same measuring in all"),
        (change(lambda r: r["parameters"].update(overlap=0.0)), "the same parameters in all"),
        (change(lambda r: r.update(resamples=3)), "the same resamples in all"),
        (change(lambda r: r["rarities"][0]["each"][0].pop("listed")), "an earlier version"),
        (change(lambda r: r["sets"][0]["scores"].pop("random")), "the same scores in all"),
    ],
)
def test_what_cannot_be_added_up_is_refused(
    made: dict[str, Made], spoil: Callable[[list[Made]], Any], told: str
) -> None:
    results = groups(made)
    pool(results)
    spoil(results)
    with pytest.raises(InputError) as error:
        pool(results)
    assert error.value.code == "tables.pool"
    assert told in error.value.message
    assert "\n" not in str(error.value)


def test_what_models_saw_is_added_up(made: dict[str, Made]) -> None:
    results = groups(made)
    for one, seen in zip(results, ({"a": 1, "b": 0}, {"a": 1, "c": 2}, {}), strict=True):
        one["rarities"][0]["seen"] = seen
    assert pool(results)["rarities"][0]["seen"] == {"a": 2, "b": 0, "c": 2}
    assert "model that measured them: scans a 2, c 2; " in pooled_table(pool(results))
    results[2]["rarities"][0]["seen"] = None
    assert pool(results)["rarities"][0]["seen"] is None
    assert "scans not known" in pooled_table(pool(results))
