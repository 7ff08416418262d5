"""An index in any of its forms names the same scans, and a scan keeps its name."""

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ctscreener.cohort.index import Entry, folder_of, read_index
from ctscreener.errors import InputError
from Testing.engine.conftest import body, body_hu, write_series

_ = body, body_hu, write_series  # fixtures


@pytest.fixture
def archive(tmp_path: Path, write_series: Callable[..., list[Path]]) -> Path:
    """Files, a mask, and two DICOM series in one folder."""
    root = tmp_path / "archive"
    (root / "one").mkdir(parents=True)
    for name in ("a.nii.gz", "one/a.nrrd", "one/a_lesion.nrrd", "notes.txt"):
        (root / name).write_text(name)
    write_series(root / "p1" / "ct", series="1.2.3")
    write_series(root / "p1" / "ct", series="1.2.4")
    write_series(root / "p2" / "ct", series="1.2.5")
    return root


def test_a_folder_is_an_archive_of_files_and_series(archive: Path) -> None:
    found = {
        entry.id: (entry.path.relative_to(archive).as_posix(), entry.series)
        for entry in read_index(archive)
    }
    assert found == {
        "a": ("a.nii.gz", None),
        "one/a": ("one/a.nrrd", None),
        "p1/ct#1.2.3": ("p1/ct", "1.2.3"),
        "p1/ct#1.2.4": ("p1/ct", "1.2.4"),
        "p2/ct": ("p2/ct", None),
    }


def test_scans_that_come_later_rename_none(archive: Path) -> None:
    before = {entry.path: entry.folder for entry in read_index(archive) if not entry.series}
    (archive / "0" / "a").mkdir(parents=True)
    (archive / "0" / "a" / "a.nii").write_text("new")
    after = {entry.path: entry.folder for entry in read_index(archive)}
    assert before.items() <= after.items()


def test_lists_and_tables_name_paths_beside_them(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("# mine\nct/a.nii.gz\n\n/elsewhere/b.nrrd\n")
    (tmp_path / "t.csv").write_text("id,path,series,site\nx,ct/a.nii.gz,,1\n,/elsewhere/b,1.2,2\n")
    columns = {"path": ["ct/a.nii.gz", "/elsewhere/b"], "id": [7, 8], "site": ["m", "n"]}
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    here = tmp_path / "ct" / "a.nii.gz"
    assert read_index(tmp_path / "list.txt") == [
        Entry("/elsewhere/b", Path("/elsewhere/b.nrrd")),
        Entry("ct/a", here),
    ]
    assert read_index(tmp_path / "t.csv") == [
        Entry("/elsewhere/b#1.2", Path("/elsewhere/b"), "1.2"),
        Entry("x", here),
    ]
    assert read_index(tmp_path / "t.parquet") == [
        Entry("7", here),
        Entry("8", Path("/elsewhere/b")),
    ]


@pytest.mark.parametrize(
    ("name", "text", "code"),
    [
        ("a.csv", "name\nx\n", "cohort.index"),
        ("a.csv", "path\n", "cohort.index"),
        ("a.csv", "id,path\nx,\n", "cohort.index"),
        ("a.parquet", "no parquet", "cohort.index"),
        ("a.txt", "# nothing\n", "cohort.index"),
        ("a.csv", "id,path\nx,a.nii\nX,b.nii\n", "cohort.ids"),
    ],
)
def test_an_index_that_cannot_be_used_is_one_line(
    tmp_path: Path, name: str, text: str, code: str
) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError) as told:
        read_index(tmp_path / name)
    assert told.value.code == code


def test_folders_are_fit_for_any_disk_and_differ() -> None:
    names = ["a", "a/b", "a_b", "../up", ".hidden", "ä", "a b", "x" * 300, "x" * 301]
    folders = [folder_of(name) for name in names]
    assert len({folder.casefold() for folder in folders}) == len(names)
    assert all(len(folder) <= 100 and "/" not in folder for folder in folders)
    assert not any(folder.startswith(".") for folder in folders)


def test_a_change_of_a_scan_changes_its_stamp(tmp_path: Path) -> None:
    entry = Entry("a", tmp_path / "a.nii")
    assert entry.stamp() == [0, 0]
    entry.path.write_text("one")
    first = entry.stamp()
    entry.path.write_text("three")
    assert first[0] == 3
    assert entry.stamp()[0] == 5
    assert Entry("b", tmp_path).stamp() == entry.stamp(), "of a folder, that of its files"
