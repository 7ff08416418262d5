"""`datasets` and `datasets check`: what of a download is there, missing, broken or twice there."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ctscreener.errors import InputError
from Testing.training.datasets import test_amos, test_kits
from Testing.training.datasets.fabricated import Grid, grid, write_nifti
from training import run
from training.datasets.check import CheckSettings, main, summary
from training.datasets.check_one import SIDE
from training.datasets.readers import READERS


def write(folder: Path) -> Path:
    """Six cases: two whole, one a copy, one without its scan, one cut short, one of another grid."""
    for number in (1, 2):
        test_kits.write(folder / f"case_{number:05}")
    moved = Grid(grid("IPL").shape, grid("IPL").affine + np.eye(4, k=3) * 30)
    write_nifti(folder / "case_00002" / "segmentation.nii.gz", moved, dtype="uint8")
    shutil.copytree(folder / "case_00001", folder / "case_00003")
    (folder / "case_00004").mkdir()
    (folder / "case_00004" / "segmentation.nii.gz").touch()
    test_kits.write(folder / "case_00005")
    whole = (folder / "case_00005" / "imaging.nii.gz").read_bytes()
    (folder / "case_00005" / "imaging.nii.gz").write_bytes(whole[: len(whole) // 2])
    write_nifti(folder / "case_00006" / "imaging.nii.gz", grid("RPI"), dtype="float32")
    return folder


def settings(tmp_path: Path, **more: object) -> CheckSettings:
    return CheckSettings("kits", tmp_path / "kits", out=tmp_path / "out", workers=1, **more)  # type: ignore[arg-type]


def test_a_download_is_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "kits")
    found = main(settings(tmp_path, every=True))
    assert (found["scans"], found["patients"], found["masks"]) == (6, 6, 5)
    assert found["missing"] == {"case_00004": "imaging.nii.gz"}
    assert set(found["broken"]) == {"case_00002", "case_00005"}
    assert "segmentation" in found["broken"]["case_00002"]
    assert found["identical"] == [["case_00001", "case_00003"]]
    assert found["nearly_the_same"] == [["kits/case_00001", "kits/case_00003", "kits/case_00006"]]
    assert found["with_lesions"] == 2
    assert found["splits"] == {"train": 5, "test": 1}
    assert json.loads((tmp_path / "out" / "report.json").read_text()) == found
    printed = capsys.readouterr()
    assert summary(found) in printed.out
    assert "checking kits" in printed.err
    with Image.open(tmp_path / "out" / "contact.png") as sheet:
        assert sheet.width == 3 * SIDE
        cyan = np.all(np.asarray(sheet)[:SIDE, :SIDE] == (64, 220, 255), axis=2)
    # The lesion lies on the left, in front: to the right and above the middle of the picture.
    rows, columns = np.nonzero(cyan)
    assert columns.mean() > SIDE * 0.55
    assert rows.mean() < SIDE * 0.5


def test_headers_alone_are_read_unless_more_is_asked(tmp_path: Path) -> None:
    write(tmp_path / "kits")
    found = main(settings(tmp_path, sample=0))
    assert (found["read"], found["nearly_the_same"]) == (0, [])
    # Masks are not compared: that of the second is of another grid.
    assert found["identical"] == [["case_00001", "case_00002", "case_00003"]]
    assert not (tmp_path / "out" / "contact.png").exists()


def test_scans_that_another_set_holds_too_are_found(tmp_path: Path) -> None:
    test_kits.write(tmp_path / "kits" / "case_00001")
    test_amos.test_ct_alone_is_used_and_lies_right(tmp_path / "amos")
    against = (Path(f"amos:{tmp_path / 'amos'}"),)
    found = main(settings(tmp_path, against=against))
    assert found["nearly_the_same"] == [["amos/amos_0001", "kits/case_00001"]]


def test_patients_on_both_sides_of_a_split_are_told(tmp_path: Path) -> None:
    from training.datasets.check import Report
    from training.datasets.check_one import Found

    report = Report("x")
    for name, patient, split in (("a", "p", "train"), ("b", "p", "test"), ("c", "q", "test")):
        report.add(Found(name, patient, split, bytes=1))
    assert report.parted() == ["p"]


def test_several_processes_find_the_same(tmp_path: Path) -> None:
    write(tmp_path / "kits")
    one = main(settings(tmp_path, every=True))
    from dataclasses import replace

    assert main(replace(settings(tmp_path, every=True), workers=2)) == one


def test_the_command_lists_and_checks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    test_kits.write(tmp_path / "kits" / "case_00001")
    assert run.main(["datasets"]) == 0
    listed = capsys.readouterr().out
    assert all(f"\n{name} " in f"\n{listed}" for name in READERS)
    assert run.main(["datasets", "--below", str(tmp_path), "--permissive"]) == 0
    listed = capsys.readouterr().out
    assert "CC BY-NC" not in listed
    assert run.main(["datasets", "--below", str(tmp_path)]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("kits")]
    assert line.endswith(str(tmp_path / "kits"))
    assert run.main(["datasets", "kits"]) == 0
    told = capsys.readouterr().out
    for fact in (READERS["kits"].source, READERS["kits"].command, "CC BY-NC-SA"):
        assert fact in told
    out = ["--out", str(tmp_path / "out"), "--workers", "1"]
    assert run.main(["datasets", "check", "kits", str(tmp_path / "kits"), *out]) == 0
    assert run.main(["datasets", "check", "any", str(tmp_path / "kits"), *out]) == 0
    assert run.main(["datasets", "kitz"]) == 2
    assert run.main(["datasets", "check", "amos", str(tmp_path / "kits"), *out]) == 2
    assert "zenodo" in capsys.readouterr().err


def test_an_empty_set_is_told(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    with pytest.raises(InputError) as error:
        main(CheckSettings("own", tmp_path / "own", out=tmp_path / "out"))
    assert error.value.code == "datasets.empty"
