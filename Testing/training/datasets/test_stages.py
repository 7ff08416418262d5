"""Stages that take NAME:FOLDER: what they read, keep and refuse."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ctscreener.errors import InputError
from ctscreener.files import read_scan
from ctscreener.preprocess import PreprocessSettings
from Testing.training.datasets import test_amos, test_brain, test_kits, test_lits
from Testing.training.datasets.fabricated import CENTRE, check_places, grid, middle
from Testing.training.small_evaluation import untrained_model
from training.baselines.folder import load_folder
from training.baselines.mean_at_place import MeanAtPlaceSettings, source_of
from training.baselines.method import RunSettings
from training.baselines.stage import main as fit
from training.card import data_text
from training.data.brain import BrainSettings, prepare_brain
from training.data.sources import find_sources
from training.data.store import Store
from training.datasets import ixi
from training.evaluate import EvaluateSettings
from training.evaluate import main as evaluate
from training.evaluation.case import read_case_mask
from training.evaluation.cases import find_cases, find_unlabelled
from training.inserted.stage import known_lesions
from training.prepare import PrepareSettings, main

COARSE = PreprocessSettings(spacing=(6.0, 6.0, 6.0), multiple=(1, 1, 1))


def settings_of(store: Path, *scans: str | Path) -> PrepareSettings:
    paths = tuple(map(Path, scans))
    return PrepareSettings(paths, store, workers=1, preprocess=COARSE)


def test_a_store_and_a_card_tell_sets_patients_and_licences(tmp_path: Path) -> None:
    test_kits.write(tmp_path / "kits" / "case_00003")
    test_amos.test_ct_alone_is_used_and_lies_right(tmp_path / "amos")
    kits, amos = f"kits:{tmp_path / 'kits'}", f"amos:{tmp_path / 'amos'}"
    main(settings_of(tmp_path / "store", kits, amos))
    store = Store(tmp_path / "store")
    assert store.names == ("amos_0001", "case_00003")
    scan = store.scans["case_00003"]
    assert (scan.dataset, scan.patient, scan.split) == ("kits", "case_00003", "train")
    # The same body in both: the search for near duplicates finds it across sets.
    manifest = json.loads((tmp_path / "store" / "manifest.json").read_text())
    assert manifest["duplicates"] == [["amos_0001", "case_00003"]]
    stage = {"data": store.provenance()["scans"], "result": {"seconds": 1}}
    text = data_text({"stages": {"density": stage}, "reference": [], "odd": []})
    assert "weights inherit: CC BY 4.0 (1 scan), CC BY-NC-SA 4.0 (1 scan)." in text


def test_permissive_stores_refuse_other_licences(tmp_path: Path) -> None:
    test_kits.write(tmp_path / "kits" / "case_00003")
    test_amos.test_ct_alone_is_used_and_lies_right(tmp_path / "amos")
    amos = f"amos:{tmp_path / 'amos'}"
    for other, word in ((f"kits:{tmp_path / 'kits'}", "kits"), (tmp_path / "amos/amos22", "")):
        asked = replace(settings_of(tmp_path / "store", amos, other), permissive=True)
        if not word:
            # A folder that looks like a set is that set.
            main(asked)
            continue
        with pytest.raises(InputError, match=word) as error:
            main(asked)
        assert error.value.code == "datasets.licence"
        assert not (tmp_path / "store").exists()
    plain = replace(settings_of(tmp_path / "s", tmp_path / "kits/case_00003"), permissive=True)
    with pytest.raises(InputError, match="no named set"):
        main(plain)


def test_kidneys_are_healthy_and_cysts_neither(tmp_path: Path) -> None:
    test_kits.write(tmp_path / "kits" / "case_00003")
    (case,) = find_cases([Path(f"kits:{tmp_path / 'kits'}")])
    scan = case.read()
    assert set(np.unique(read_case_mask(case, scan, False))) == {0, 2}
    check_places(scan, read_case_mask(case, scan, False))
    (case,) = find_cases([Path(f"kits:{tmp_path / 'kits'}")], labels=(1,), others=("healthy",))
    assert set(np.unique(read_case_mask(case, scan, False))) == {0, 1, 2}
    (case,) = find_unlabelled([Path(f"kits:{tmp_path / 'kits'}")])
    assert (case.label, case.patient, case.unlabelled) == (2, "case_00003", True)


def test_insertion_keeps_off_lesions_that_a_set_tells_of(tmp_path: Path) -> None:
    test_kits.write(tmp_path / "kits" / "case_00003")
    (source,) = find_sources([Path(f"kits:{tmp_path / 'kits'}")])
    scan = source.read(read_scan)
    lesions = known_lesions(source, scan)
    assert lesions is not None
    check_places(scan, lesions)
    # An organ is no lesion.
    assert set(np.unique(lesions)) == {0, 2}
    test_amos.test_ct_alone_is_used_and_lies_right(tmp_path / "amos")
    (other, *_) = find_sources([Path(f"amos:{tmp_path / 'amos'}")])
    assert known_lesions(other, other.read(read_scan)) is None


def test_a_rival_learns_from_a_named_set_alone(tmp_path: Path) -> None:
    test_kits.write(tmp_path / "kits" / "case_00003")
    test_kits.write(tmp_path / "others" / "case_00011")
    kits = Path(f"kits:{tmp_path / 'kits'}")
    main(settings_of(tmp_path / "store", f"kits:{tmp_path / 'others'}"))
    data = RunSettings(tmp_path / "store", tmp_path / "run", scans=(kits,))
    # The store has coarse voxels: to mix others into it is refused.
    with pytest.raises(InputError, match="other settings"):
        fit("mean_at_place", MeanAtPlaceSettings(data))
    main(settings_of(tmp_path / "store", kits))
    assert data.open().names == ("case_00003",)
    data = RunSettings(tmp_path / "own", tmp_path / "run", scans=(kits,))
    assert fit("mean_at_place", MeanAtPlaceSettings(data))
    assert load_folder(tmp_path / "run" / "fitted").seen == {
        scan["sha256"] for scan in Store(tmp_path / "own").provenance()["scans"]
    }


def test_a_set_is_measured_by_its_name(tmp_path: Path, rng: np.random.Generator) -> None:
    model = untrained_model(tmp_path / "untrained", rng)
    test_kits.write(tmp_path / "kits" / "case_00003")
    test_kits.write(tmp_path / "kits" / "case_00004")
    settings = EvaluateSettings(
        sets=(Path(f"kits:{tmp_path / 'kits'}"), Path(f"kits,split=train:{tmp_path / 'kits'}")),
        scores=(f"model:{model}", "gradient"),
        out=tmp_path / "out",
        resamples=0,
    )
    evaluate(settings)
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert results["skipped"] == []
    first, second = results["sets"]
    assert [part["set"] for part in (first, second)] == ["kits", "kits,split=train"]
    for part in (first, second):
        assert [scan["name"] for scan in part["scans"]] == ["case_00003", "case_00004"]
    # The edges of the lesion are far steeper than what surrounds them.
    assert first["scans"][0]["auroc"]["gradient"] > 0.6


def test_a_scan_of_a_set_is_read_again_as_its_set_reads_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The header lies: only the reader of LiTS lays the scan right.
    wrong = np.diag([-1.0, 1, 1, 1]) @ grid("LPS").affine
    test_lits.write(tmp_path / "lits", 7, header=wrong)
    monkeypatch.chdir(tmp_path)
    main(settings_of(tmp_path / "store", "lits,split=train:lits"))
    monkeypatch.chdir("/")
    (stored,) = Store(tmp_path / "store").scans.values()
    scan = source_of(stored).read(read_scan)
    found = middle(np.abs(scan.hu - 160) < 40, scan.affine)
    np.testing.assert_allclose(found, CENTRE, atol=1)
    # The folder of the machine stays in the store.
    told = Store(tmp_path / "store").provenance()["scans"]
    assert set(told[0]) == {"name", "sha256", "dataset", "licence"}


def test_brain_mri_has_a_store_of_its_own(tmp_path: Path) -> None:
    test_brain.test_t2_images_of_ixi_lie_right(tmp_path / "ixi")
    asked = PrepareSettings((Path(f"ixi:{tmp_path / 'ixi'}"),), tmp_path / "store", workers=1)
    with pytest.raises(InputError, match="brain-mri") as error:
        main(asked)
    assert error.value.code == "datasets.kind"
    main(replace(asked, kind="brain-mri", brain=BrainSettings(spacing=(4.0, 4.0, 4.0))))
    store = Store(tmp_path / "store", kind="brain-mri")
    assert store.names == ("IXI012-HH-1211-T2", "IXI013-Guys-1212-T2")
    with pytest.raises(InputError, match="kind ct") as error:
        Store(tmp_path / "store")
    assert error.value.code == "store.kind"
    test_kits.write(tmp_path / "kits" / "case_00003")
    with pytest.raises(InputError, match="other settings"):
        main(settings_of(tmp_path / "store", f"kits:{tmp_path / 'kits'}"))


def test_a_brain_keeps_its_place_and_its_grey(tmp_path: Path) -> None:
    test_brain.test_t2_images_of_ixi_lie_right(tmp_path)
    example = next(ixi.READER.examples(tmp_path))
    scan = ixi.READER.read(example, read_scan)
    prepared = prepare_brain(scan, BrainSettings(spacing=(3.0, 3.0, 3.0)))
    places = np.argwhere(prepared.image > 0) @ prepared.affine[:3, :3].T + prepared.affine[:3, 3]
    assert np.abs(places.mean(axis=0)).max() < 6
    bright = np.argwhere(prepared.image > 230)
    spine = bright @ prepared.affine[:3, :3].T + prepared.affine[:3, 3]
    np.testing.assert_allclose(spine.mean(axis=0)[:2], [0, -40], atol=4)
    empty = replace(scan, hu=np.zeros_like(scan.hu))
    with pytest.raises(InputError, match="0 ml"):
        prepare_brain(empty, BrainSettings())
