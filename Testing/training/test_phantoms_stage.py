"""Tests of the folder that the stage `phantoms` writes."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from ctscreener.errors import InputError
from ctscreener.progress import silent
from training.phantoms.lesion_site import LABELS
from training.phantoms.stage import PhantomSettings, draw, main, make_phantoms, phantom_name
from training.phantoms.writing import write_volume

RESOURCES = Path(__file__).parents[2] / "Resources"
TINY = PhantomSettings(out=Path(), count=2, family="lung_nodule", seed=3, coarsen=3.0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("set")
    main(replace(TINY, out=out))
    return out


def volumes(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.nii.gz"))


def test_a_set_holds_scans_masks_and_a_manifest(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["settings"]["seed"] == 3
    names = [scan["name"] for scan in manifest["scans"]]
    assert names == ["lung_nodule_3_0000", "lung_nodule_3_0001"]
    expected = [f"{n}{end}.nii.gz" for n in names for end in ("", "_lesion")]
    assert [p.name for p in volumes(folder)] == sorted(expected)
    assert all(scan["lesions"][0]["family"] == "lung_nodule" for scan in manifest["scans"])


def test_a_written_scan_reads_back_on_the_same_grid(folder: Path) -> None:
    phantom = draw(replace(TINY, out=folder), 1)
    path = folder / "lung_nodule_3_0001.nii.gz"
    image = sitk.ReadImage(str(path))
    mask = sitk.ReadImage(str(path).replace(".nii.gz", "_lesion.nii.gz"))
    assert image.GetPixelID() == sitk.sitkInt16
    assert mask.GetPixelID() == sitk.sitkUInt8
    assert np.array_equal(sitk.GetArrayFromImage(image), phantom.scan.hu)
    assert np.array_equal(sitk.GetArrayFromImage(mask), phantom.lesions)
    for voxel in ((0, 0, 0), (7, 3, 11)):
        lps = np.array(image.TransformIndexToPhysicalPoint(voxel[::-1]))
        assert np.allclose(lps * [-1, -1, 1], phantom.scan.affine[:3] @ [*voxel, 1], atol=1e-2)
        assert np.allclose(lps, mask.TransformIndexToPhysicalPoint(voxel[::-1]))


def test_an_oblique_grid_is_written_as_it_is(tmp_path: Path) -> None:
    turn = np.array([[0.0, -0.6, -0.8], [0.0, -0.8, 0.6], [1.0, 0.0, 0.0]])
    affine = np.eye(4)
    affine[:3, :3] = turn * [3.0, 1.5, 2.0]
    affine[:3, 3] = [10, -20, 30]
    write_volume(tmp_path / "a.nrrd", np.zeros((2, 3, 4), np.int16), affine)
    image = sitk.ReadImage(str(tmp_path / "a.nrrd"))
    lps = np.array(image.TransformIndexToPhysicalPoint((3, 2, 1)))
    assert np.allclose(lps * [-1, -1, 1], affine[:3] @ [1, 2, 3, 1])
    assert [p.name for p in tmp_path.iterdir()] == ["a.nrrd"]


def test_workers_do_not_change_the_result(folder: Path, tmp_path: Path) -> None:
    make_phantoms(replace(TINY, out=tmp_path, workers=2), silent)
    assert [p.name for p in volumes(tmp_path)] == [p.name for p in volumes(folder)]
    for one, two in zip(volumes(folder), volumes(tmp_path), strict=True):
        first, second = (sitk.GetArrayFromImage(sitk.ReadImage(str(p))) for p in (one, two))
        assert np.array_equal(first, second)
    manifests = [(f / "manifest.json").read_text() for f in (folder, tmp_path)]
    assert manifests[0] == manifests[1]


def test_resuming_keeps_what_is_complete_and_makes_what_is_not(folder: Path) -> None:
    before = {p.name: (p.stat().st_mtime_ns, p.stat().st_ino) for p in volumes(folder)}
    lost = folder / "lung_nodule_3_0001.nii.gz"
    content = lost.read_bytes()
    lost.unlink()
    steps: list[tuple[str, int, int]] = []
    records = make_phantoms(replace(TINY, out=folder), lambda *step: steps.append(step))
    assert steps == [("phantoms", 1, 2), ("phantoms", 2, 2)]
    assert len(records) == 2
    kept = folder / "lung_nodule_3_0000.nii.gz"
    assert (kept.stat().st_mtime_ns, kept.stat().st_ino) == before[kept.name]
    array = sitk.GetArrayFromImage(sitk.ReadImage(str(lost)))
    assert np.array_equal(array, draw(replace(TINY, out=folder), 1).scan.hu)
    assert len(lost.read_bytes()) == len(content)


def test_a_folder_made_with_other_settings_is_refused(folder: Path) -> None:
    with pytest.raises(InputError, match="other settings"):
        make_phantoms(replace(TINY, out=folder, seed=4), silent)


@pytest.mark.parametrize("wrong", [{"count": 0}, {"workers": 0}, {"prevalence": 1.5}])
def test_settings_out_of_range_are_refused(tmp_path: Path, wrong: dict) -> None:
    with pytest.raises(InputError, match="Correct the option"):
        make_phantoms(replace(TINY, out=tmp_path, **wrong), silent)
    assert list(tmp_path.iterdir()) == []


def test_names_carry_family_seed_and_number() -> None:
    assert phantom_name(TINY, 12) == "lung_nodule_3_0012"


def test_the_sample_is_a_small_scan_with_a_nodule_and_a_liver_tumour() -> None:
    path = RESOURCES / "sample_phantom.nrrd"
    scan, mask = (
        sitk.ReadImage(str(path)),
        sitk.ReadImage(str(RESOURCES / "sample_phantom_lesion.nrrd")),
    )
    assert path.stat().st_size <= 6e6
    assert np.allclose(scan.GetSpacing(), [1.7, 1.7, 3.0])
    assert scan.GetOrigin() == mask.GetOrigin()
    assert scan.GetSize() == mask.GetSize()
    hu, labels = sitk.GetArrayFromImage(scan), sitk.GetArrayFromImage(mask)
    assert hu.dtype == np.int16
    assert set(np.unique(labels)) == {0, LABELS["lung_nodule"], LABELS["liver_tumour"]}
    nodule, tumour = (np.argwhere(labels == n).mean(0) for n in (1, 4))
    assert nodule[0] > tumour[0], "the lung lies above the liver"
    assert -50 < np.median(hu[labels == 1]) < 150
    assert 30 < np.median(hu[labels == 4]) < 110


@pytest.mark.parametrize("coarsen", [0.0, -1.0, float("nan")])
def test_voxels_without_a_size_are_refused(tmp_path: Path, coarsen: float) -> None:
    with pytest.raises(InputError, match="Expected --coarsen above 0"):
        PhantomSettings(tmp_path, coarsen=coarsen)
