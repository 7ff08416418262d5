"""Found anew in Slicer is what the engine finds: the same parts of the body, limits and order."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import slicer

from ctscreener.command import main
from ctscreener.files import write_map
from ctscreener.maps import write_labels
from ctscreener.parts import ARMS, HEAD, TORSO, Parts
from ctscreener.scan import Scan
from ScreenerSlicerLib.placement import Taking
from ScreenerSlicerLib.process.nrrd_file import read_labels
from ScreenerSlicerLib.process.screen_job import ScreenOutput, ScreenRequest, ScreenWork
from ScreenerSlicerLib.result import ScreenResult
from ScreenerSlicerLib.scene.body_parts import parts_of
from ScreenerSlicerLib.scene.packed_parts import packed, unpacked
from ScreenerSlicerLib.scene.slicer_logics import Logics
from Testing.engine.patient import MM, Patient
from Testing.engine.small_model import save
from Testing.engine.torso import canonical_affine
from Testing.host.scene import SlicerScene
from Testing.slicer import lumps

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

THRESHOLDS = (0.6, 1.4)
FIRST = 1.0
Run = tuple[Scan, dict[tuple[float, bool], dict[str, Any]], ScreenOutput]


@pytest.fixture(scope="module")
def screened(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A patient from the belly to the head, screened by the engine at each threshold."""
    folder = tmp_path_factory.mktemp("engine")
    man = Patient(0, 280, 270).with_arms(15)
    affine = canonical_affine(man.shape, (float(MM[0]), float(MM[1]), float(MM[2])))
    scan = Scan(man.noisy(40), affine)
    write_map(folder / "scan.nrrd", scan.hu, affine)
    model = str(save(folder / "model"))
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    records: dict[tuple[float, bool], dict[str, Any]] = {}
    for threshold in (*THRESHOLDS, FIRST):
        for every in (False, True):
            out = folder / f"{threshold} {every}" / "result"
            out.parent.mkdir()
            line = ["screen", str(folder / "scan.nrrd"), "--out", str(out), "--model", model]
            line += ["--threshold", str(threshold), "--min-volume", "0.2", "--overlap", "0"]
            assert main([*line, *(["--all-parts"] if every else [])]) == 0
            records[threshold, every] = json.loads((out / "findings.json").read_text())
    torch.set_num_threads(before)
    work = ScreenWork(scan)
    output = work.read(folder / f"{FIRST} False", records[FIRST, False], lambda: None)
    return scan, records, output


@pytest.fixture
def taken(slicer_scene: SlicerScene, logics: Logics, screened: Run) -> ScreenResult:
    """The first of these runs, in the scene."""
    scan, _, output = screened
    node = lumps.add_scan(slicer_scene.scene, lumps.Geometry(scan.affine), scan.hu)
    request = ScreenRequest(threshold=FIRST, min_volume_ml=0.2)
    taking = Taking(slicer_scene.scene, logics, node, output, request)
    while taking.step():
        pass
    assert taking.result is not None
    return taking.result


def findings(result: ScreenResult) -> list[dict[str, Any]]:
    """The list, as the engine writes it."""
    return json.loads(json.dumps([row.to_json()["finding"] for row in result.rows]))


def test_the_patient_has_findings_in_several_parts_and_more_than_are_listed(
    screened: Run,
) -> None:
    _, records, _ = screened
    assert {"arms", "head"} <= set(records[FIRST, False]["elsewhere"])
    lowest = records[THRESHOLDS[0], True]
    assert lowest["found"] > len(lowest["findings"])


@pytest.mark.parametrize("every", [False, True])
@pytest.mark.parametrize("threshold", THRESHOLDS)
def test_another_threshold_finds_what_the_engine_finds(
    taken: ScreenResult, screened: Run, threshold: float, every: bool
) -> None:
    expected = screened[1][threshold, every]
    taken.find_again(replace(taken.table.settings, threshold=threshold), every)
    assert findings(taken) == expected["findings"]
    assert taken.table.beyond.total == expected["found"]
    assert taken.table.beyond.elsewhere == expected["elsewhere"]
    assert taken.table.beyond.all_parts == every


def test_the_parts_are_kept_by_the_scene_and_what_was_asked_for_too(
    taken: ScreenResult, screened: Run, slicer_scene: SlicerScene, logics: Logics, tmp_path: Path
) -> None:
    scene = slicer_scene.scene
    taken.find_again(replace(taken.table.settings, threshold=THRESHOLDS[1]), True)
    scene.SetRootDirectory(str(tmp_path))
    assert scene.WriteToMRB(str(tmp_path / "scene.mrb"))
    scene.Clear()
    assert scene.ReadFromMRB(str(tmp_path / "scene.mrb"))
    (back,) = ScreenResult.all_in(scene, logics)
    back.find_again(replace(back.table.settings, threshold=FIRST))
    expected = screened[1][FIRST, True]["findings"]
    told = ("rank", "part", "voxels", "peak_index")
    assert [[one[key] for key in told] for one in findings(back)] == [
        [one[key] for key in told] for one in expected
    ]


def test_labels_come_back_from_file_and_text_as_they_were(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    labels = rng.choice(np.array([0, TORSO, ARMS, HEAD], np.uint8), (5, 7, 6))
    affine = lumps.LYING
    write_labels(tmp_path / "parts.nrrd", labels, affine)
    read, where = read_labels(tmp_path / "parts.nrrd", lambda: None)
    np.testing.assert_array_equal(read, labels)
    np.testing.assert_array_equal(where, affine)
    again = unpacked(packed(Parts(labels, affine)))
    np.testing.assert_array_equal(again.labels, labels)
    np.testing.assert_array_equal(again.affine, affine)


def test_a_torso_alone_takes_no_room(rng: np.random.Generator) -> None:
    torso = Parts(rng.choice(np.array([0, TORSO], np.uint8), (40, 50, 60)), lumps.LYING)
    text = packed(torso)
    assert len(text) < 400
    for point in rng.uniform(-200, 200, (20, 3)):
        assert unpacked(text).at(point) == torso.at(point) == "torso"


def test_a_result_of_before_lists_all_of_them(
    slicer_scene: SlicerScene, taken: ScreenResult, screened: Run
) -> None:
    taken.map_node.RemoveAttribute("Screener.Parts")
    assert parts_of(taken.map_node) is None
    taken.find_again(taken.table.settings)
    every = screened[1][FIRST, True]["findings"]
    assert [one["voxels"] for one in findings(taken)] == [one["voxels"] for one in every]
    assert {one["part"] for one in findings(taken)} == {""}
    assert slicer.vtkMRMLScene is type(slicer_scene.scene)
