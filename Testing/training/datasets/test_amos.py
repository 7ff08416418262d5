"""AMOS22: parts, MRI and broken numbers, scans without masks."""

from pathlib import Path

from Testing.training.datasets.fabricated import check_places, grid, labels_of, read, write_nifti
from training.datasets.amos import BROKEN, READER


def test_ct_alone_is_used_and_lies_right(tmp_path: Path) -> None:
    root = tmp_path / "amos22"
    write_nifti(root / "imagesTr" / "amos_0001.nii.gz", grid("LAS"))
    write_nifti(root / "labelsTr" / "amos_0001.nii.gz", grid("LAS"), labels_of, dtype="uint8")
    for path in (
        root / "imagesTr" / "amos_0507.nii.gz",
        root / "imagesVa" / "amos_0500.nii.gz",
        tmp_path / "amos_unlabeled_ct_5000_5399" / "amos_5073.nii.gz",
        tmp_path / "amos22_unlabeled_6200_6899" / "amos_6201.nii.gz",
        tmp_path / "amos22_unlabeled_6200_6899" / "._amos_6201.nii.gz",
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert READER.fits(tmp_path)
    assert len(BROKEN) == 17
    found = {one.name: one for one in READER.examples(tmp_path)}
    assert {name: bool(one.unused) for name, one in found.items()} == {
        "amos_0001": False,
        "amos_0507": True,
        "amos_0500": False,
        "amos_5073": True,
        "amos_6201": False,
    }
    assert found["amos_0500"].split == "val"
    assert found["amos_6201"].split == "unlabelled"
    check_places(*read(READER, found["amos_0001"]))
