"""Scans of an archive: files and DICOM series at any depth, and what they are called."""

from collections.abc import Callable
from pathlib import Path

import pytest

from ctscreener.archive import scans_below, stem


@pytest.fixture
def archive(tmp_path: Path, write_series: Callable[..., list[Path]]) -> Path:
    """Files, a mask, a hidden file, and three DICOM series in two folders."""
    root = tmp_path / "archive"
    (root / "one").mkdir(parents=True)
    for name in ("a.nii.gz", "one/b.nrrd", "one/b_lesion.nrrd", "notes.txt"):
        (root / name).write_text(name)
    write_series(root / "p1" / "ct", series="1.2.3")
    write_series(root / "p1" / "ct", series="1.2.4")
    write_series(root / "p2" / "ct", series="1.2.5")
    return root


def test_files_and_series_are_found_at_any_depth_and_masks_are_not(archive: Path) -> None:
    found = {(path.relative_to(archive).as_posix(), uid) for path, uid in scans_below(archive)}
    assert found == {
        ("a.nii.gz", None),
        ("one/b.nrrd", None),
        ("p1/ct", "1.2.3"),
        ("p1/ct", "1.2.4"),
        ("p2/ct", None),
    }


def test_a_file_is_taken_for_a_scan_whatever_it_is(archive: Path) -> None:
    assert list(scans_below(archive / "notes.txt")) == [(archive / "notes.txt", None)]


def test_names_lose_their_endings_and_what_is_no_utf_8() -> None:
    assert stem(Path("a/CHEST.NII.GZ")) == "CHEST"
    assert stem(Path("a/b\udcff.nrrd")) == "b_"
