"""Tests of the folder that the stage `insert` writes."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from ctscreener.errors import InputError
from ctscreener.files import read_mask, read_scan
from ctscreener.progress import silent
from training.data.sources import hash_source
from training.evaluation.cases import find_cases
from training.evaluation.layouts import mask_beside
from training.evaluation.trained_on import digest_of
from training.inserted.stage import InsertSettings, as_stored, insert_all
from training.phantoms.lesion_site import LABELS
from training.phantoms.phantom import make_phantom
from training.phantoms.writing import write_volume
from training.run import main


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A chest with a lesion that is known, and a box of water."""
    folder = tmp_path_factory.mktemp("scans")
    phantom = make_phantom(np.random.default_rng([77, 0]), "chest", "none", 0, 2.2)
    hu, affine = phantom.scan.hu.astype(np.int16), phantom.scan.affine
    write_volume(folder / "chest.nii.gz", hu, affine)
    known = np.zeros(hu.shape, np.uint8)
    known[20:24, 20:24, 20:24] = 1
    write_volume(folder / "chest_lesion.nii.gz", known, affine)
    water = np.full((50, 60, 60), -1000, np.int16)
    water[:, 10:50, 10:50] = 0
    straight = np.array([[0, 0, -3.0, 0], [0, -3.0, 0, 0], [3.0, 0, 0, 0], [0, 0, 0, 1]])
    write_volume(folder / "water.nii.gz", water, straight)
    return folder


@pytest.fixture(scope="module")
def made(scans: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[InsertSettings, dict]:
    settings = InsertSettings((scans,), tmp_path_factory.mktemp("set"), "lung_nodule", 2, 3)
    return settings, insert_all(settings, silent)


def test_each_copy_is_a_case_that_is_measured_on_its_family(
    made: tuple[InsertSettings, dict],
) -> None:
    settings, manifest = made
    names = ["chest_lung_nodule_3_0000", "chest_lung_nodule_3_0001"]
    assert [record["name"] for record in manifest["scans"]] == names
    cases = find_cases([settings.out])
    assert [case.name for case in cases] == names
    assert {case.label for case in cases} == {LABELS["lung_nodule"]}
    # Both copies are of one patient, whose scan a model may have seen.
    (source,) = settings.scans
    assert {case.patient for case in cases} == {"chest"}
    assert {digest_of(case) for case in cases} == {hash_source(source / "chest.nii.gz")}
    first, second = (read_scan(case.scan) for case in cases)
    assert not np.array_equal(first.hu, second.hu)


def test_geometry_is_the_input_s_and_known_lesions_are_neither_lesion_nor_healthy(
    made: tuple[InsertSettings, dict],
) -> None:
    settings, _ = made
    (source,) = settings.scans
    image, old = (sitk.ReadImage(str(source / f"chest{end}.nii.gz")) for end in ("", "_lesion"))
    known = sitk.GetArrayFromImage(old) > 0
    for case in find_cases([settings.out]):
        copy = sitk.ReadImage(str(case.scan))
        assert copy.GetPixelID() == sitk.sitkInt16
        assert copy.GetSize() == image.GetSize()
        assert np.allclose(copy.GetOrigin(), image.GetOrigin(), atol=1e-3)
        assert np.allclose(copy.GetDirection(), image.GetDirection())
        assert np.allclose(copy.GetSpacing(), image.GetSpacing())
        mask = read_mask(mask_beside(case.scan), read_scan(case.scan))
        assert set(np.unique(mask)) == {0, LABELS["lung_nodule"], LABELS["other"]}
        assert np.array_equal(mask == LABELS["other"], known)


def test_a_scan_without_the_organ_is_refused_by_name(made: tuple[InsertSettings, dict]) -> None:
    (refused,) = made[1]["refused"]
    assert refused["scan"] == "water"
    assert "cannot be told where the organ lies" in refused["reason"]


def test_a_second_run_keeps_what_is_complete_and_makes_what_is_lost(
    made: tuple[InsertSettings, dict],
) -> None:
    settings, manifest = made
    kept, lost = (settings.out / f"chest_lung_nodule_3_000{n}.nii.gz" for n in (0, 1))
    before, voxels = kept.stat().st_mtime_ns, read_scan(lost).hu
    lost.unlink()
    assert insert_all(settings, silent) == manifest
    assert kept.stat().st_mtime_ns == before
    assert np.array_equal(read_scan(lost).hu, voxels)


def test_several_processes_make_the_same_voxels(
    made: tuple[InsertSettings, dict], tmp_path: Path
) -> None:
    alone, manifest = made
    assert insert_all(replace(alone, out=tmp_path, workers=2), silent) == manifest
    for record in manifest["scans"]:
        for end in ("", "_lesion"):
            name = f"{record['name']}{end}.nii.gz"
            assert (tmp_path / name).read_bytes() == (alone.out / name).read_bytes()


def test_a_folder_made_with_other_settings_is_refused(made: tuple[InsertSettings, dict]) -> None:
    with pytest.raises(InputError, match="other settings"):
        insert_all(replace(made[0], seed=4), silent)


def test_a_set_without_a_scan_ends_in_one_line_and_status_2(
    scans: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["insert", str(scans / "water.nii.gz"), "--out", str(tmp_path / "set")]
    assert main([*words, "--family", "liver_tumour", "--count", "0"]) == 2
    assert "Correct the option" in capsys.readouterr().err
    assert not (tmp_path / "set").exists()
    assert main([*words, "--family", "liver_tumour"]) == 2
    assert "can take a liver_tumour" in capsys.readouterr().err
    assert not list((tmp_path / "set").glob("*.nii.gz"))
    assert json.loads((tmp_path / "set" / "manifest.json").read_text())["scans"] == []


def test_fractions_of_a_scan_are_kept() -> None:
    whole, part = np.array([1.0, -2000.0], np.float32), np.array([0.5], np.float32)
    assert as_stored(whole).dtype == np.int16
    assert as_stored(part).dtype == np.float32
