"""Cases: three layouts, what their labels mean, and what is refused."""

import json
from pathlib import Path

import pytest

from ctscreener.errors import InputError
from training.data.sources import hash_source
from training.evaluation.cases import find_cases, find_unlabelled, patient_of
from training.evaluation.trained_on import digest_of

NNUNET = {"labels": {"background": 0, "tumour": 1}, "file_ending": ".nrrd"}
DECATHLON = {"labels": {"0": "background", "1": "liver", "2": "cancer"}, "modality": {"0": "CT"}}


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def described(folder: Path, description: object) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "dataset.json").write_text(json.dumps(description))
    return folder


def test_nnunet_sets_are_understood(tmp_path: Path) -> None:
    folder = described(tmp_path / "Dataset001_X", NNUNET)
    touch(folder, "imagesTr/b_0000.nrrd", "imagesTr/b_0001.nrrd", "labelsTr/b.nrrd")
    touch(folder, "imagesTs/a_0000.nrrd", "labelsTs/a.nrrd", "labelsTr/._b.nrrd")
    first, second = find_cases((folder,))
    assert (first.name, first.scan.name) == ("a", "a_0000.nrrd")
    assert first.mask == folder / "labelsTs" / "a.nrrd"
    assert (second.name, second.scan) == ("b", folder / "imagesTr" / "b_0000.nrrd")
    assert (first.label, first.others) == (1, "healthy")


def test_decathlon_sets_are_understood_and_want_to_know_the_lesion(tmp_path: Path) -> None:
    folder = described(tmp_path / "Task03_Liver", DECATHLON)
    touch(folder, "imagesTr/liver_0.nii.gz", "labelsTr/liver_0.nii.gz", "imagesTs/liver_1.nii.gz")
    with pytest.raises(InputError, match="1 liver, 2 cancer") as error:
        find_cases((folder,))
    assert error.value.code == "evaluate.labels"
    (case,) = find_cases((folder,), labels=(2,))
    # The liver is healthy tissue there: a negative, unless someone says otherwise.
    assert (case.name, case.label, case.others) == ("liver_0", 2, "healthy")
    (case,) = find_cases((folder,), labels=(2,), others=("ignored",))
    assert case.others == "ignored"


@pytest.mark.parametrize(
    ("description", "code"),
    [
        ([], "evaluate.layout"),
        ({"labels": {"background": 0, "region": [1, 2]}}, "evaluate.layout"),
        ({"labels": {"background": 0}}, "evaluate.labels"),
        ({"labels": {"background": 0, "tumour": 1}}, "evaluate.no_masks"),
    ],
)
def test_unusable_descriptions_are_refused(tmp_path: Path, description: object, code: str) -> None:
    folder = described(tmp_path / "set", description)
    with pytest.raises(InputError) as error:
        find_cases((folder,))
    assert error.value.code == code


def test_a_mask_without_its_scan_names_both_places(tmp_path: Path) -> None:
    folder = described(tmp_path / "set", {"labels": {"background": 0, "tumour": 1}})
    touch(folder, "labelsTr/c.nii.gz")
    with pytest.raises(InputError, match="c_0000.nii.gz nor c.nii.gz in .*imagesTr"):
        find_cases((folder,))


def test_our_own_layout_ignores_other_lesions(tmp_path: Path) -> None:
    touch(tmp_path, "p1_s2.nii.gz", "p1_s2_lesion.nii.gz", "p1_s1/1.dcm", "p1_s1_lesion.nii.gz")
    touch(tmp_path, "healthy.nii.gz")
    cases = find_cases((tmp_path,), patient="(.*)_s.")
    assert [(c.name, c.patient, c.others) for c in cases] == [
        ("p1_s1", "p1", "ignored"),
        ("p1_s2", "p1", "ignored"),
    ]
    assert cases[0].scan.is_dir()


@pytest.mark.parametrize("pattern", [".*", "x(.*)", "(", "*"])
def test_a_pattern_without_a_patient_is_refused(pattern: str) -> None:
    with pytest.raises(InputError) as error:
        patient_of("scan1", pattern)
    assert error.value.code == "evaluate.patient"


def test_a_set_of_links_to_a_dicom_folder_and_its_mask_is_the_scan_itself(tmp_path: Path) -> None:
    scans, folder = tmp_path / "scans", tmp_path / "annotated"
    touch(scans, "a/1.dcm", "a/2.dcm", "a_lesion.nii.gz", "b.nii.gz")
    (scans / "a" / "2.dcm").write_bytes(b"voxels")
    folder.mkdir()
    for name in ("a", "a_lesion.nii.gz"):
        (folder / name).symlink_to(scans / name)
    (case,) = find_cases((folder,))
    assert (case.name, case.scan, case.origin) == ("a", folder / "a", "")
    assert digest_of(case) == hash_source(scans / "a")


def test_unlabelled_scans_know_the_masks_beside_them(tmp_path: Path) -> None:
    touch(tmp_path, "a/1.dcm", "a_lesion.nii.gz", "b.nii.gz")
    first, second = find_unlabelled((tmp_path,), "(.).*")
    assert (first.name, first.mask, second.mask) == ("a", tmp_path / "a_lesion.nii.gz", None)
    assert all(case.unlabelled and case.patient == case.name for case in (first, second))
    assert find_unlabelled(()) == []
