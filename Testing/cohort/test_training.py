"""Stages of the training over a cluster: the same store and the same numbers as on one machine."""

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ctscreener.cohort.cluster import Cluster
from ctscreener.errors import InputError
from Testing.cohort.made_up import make_model, make_scans
from Testing.training.test_evaluate import write_case
from training.cluster import Within
from training.evaluate import EvaluateSettings
from training.evaluate import main as evaluate
from training.prepare import PrepareSettings
from training.prepare import main as prepare
from training.prepare_one import prepare_one


def contents(store: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in store.rglob("*") if path.is_file()}


def test_a_store_that_a_cluster_prepares_is_the_same(here: Cluster, tmp_path: Path) -> None:
    scans = make_scans(tmp_path / "scans", 4)
    (scans / "bad.nrrd").write_text("no scan")
    prepare(PrepareSettings((scans,), tmp_path / "one", workers=1))
    prepare(PrepareSettings((scans,), tmp_path / "many", scheduler="local"))
    one, many = contents(tmp_path / "one"), contents(tmp_path / "many")
    assert one == many
    assert len([name for name in one if name.endswith(".b2nd")]) == 8
    assert json.loads(one["manifest.json"])["skipped"] != []


def test_a_scan_that_ends_its_workers_is_skipped_and_named(
    here: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scans = make_scans(tmp_path / "scans", 3)

    def ends(source: Any, copies: Any) -> Any:  # noqa: ANN401
        if source.name == "s001":
            raise InputError("scan.ends_worker", "Expected a worker to outlive s001.", "Look.")
        return prepare_one(source, copies)

    monkeypatch.setattr("training.prepare.prepare_one", ends)
    prepare(PrepareSettings((scans,), tmp_path / "store", scheduler="local"))
    manifest = json.loads((tmp_path / "store" / "manifest.json").read_text())
    assert [scan["name"] for scan in manifest["scans"]] == ["s000", "s002"]
    assert "outlive s001" in manifest["skipped"][0]["reason"]


def test_numbers_that_a_cluster_measures_are_the_same(
    here: Cluster, tmp_path: Path, rng: np.random.Generator
) -> None:
    for name, labels in {"a": (1,), "b": (2, 1), "c": (2,)}.items():
        write_case(tmp_path / "scans", name, rng, labels)
    (tmp_path / "scans" / "b.nii.gz").write_text("no scan")
    settings = EvaluateSettings(
        sets=(tmp_path / "scans",),
        scores=(f"model:{make_model(tmp_path / 'model')}", "gradient"),
        out=tmp_path / "one",
        device="cpu",
        resamples=9,
    )
    evaluate(settings)
    evaluate(dataclasses.replace(settings, out=tmp_path / "many", scheduler="local"))
    one, many = (
        timeless(json.loads((tmp_path / name / "results.json").read_text()))
        for name in ("one", "many")
    )
    assert one == many
    assert [scan["scan"] for scan in one["skipped"]] == ["b"]
    assert not list((tmp_path / "many").glob(".screener*"))


def timeless(value: Any) -> Any:  # noqa: ANN401
    if isinstance(value, dict):
        return {key: timeless(one) for key, one in value.items() if key != "seconds"}
    return [timeless(one) for one in value] if isinstance(value, list) else value


def test_relative_paths_mean_the_same_on_a_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(Path(__file__).parent)
    assert Within(lambda _item: os.getcwd(), tmp_path)(0) == str(tmp_path)
