"""Which DICOM series of a tree are scans to train on."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import FileDataset
from pydicom.uid import MediaStorageDirectoryStorage

from ctscreener.files import read_scan
from Testing.engine.conftest import one_slice
from training.data.sources import Source, find_sources, hash_source
from training.prepare import PrepareSettings, main

FIRST, SECOND = "1.2.826.1111", "1.2.826.2222"


def write(
    folder: Path,
    series: str,
    offset: int = 0,
    count: int = 20,
    change: Callable[[FileDataset], object] = lambda data: None,
) -> np.ndarray:
    """Write a small body in air, and return its HU."""
    folder.mkdir(parents=True, exist_ok=True)
    hu = np.full((20, 40, 40), -1000)
    hu[:, 8:-8, 8:-8] = 40
    hu[4:14, 14:26, 14:20] = -850 + offset
    for index, values in enumerate(hu[:count]):
        data = one_slice(values.astype(np.float32), index, series)
        data.PixelSpacing = [3, 3]
        change(data)
        data.save_as(folder / f"{series[-4:]}_{index:02}", enforce_file_format=True)
    return hu


def scout(data: FileDataset) -> None:
    data.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]


def index_of_disk(folder: Path) -> None:
    """Write a DICOMDIR, as it lies above the scans of a disk."""
    data = one_slice(np.zeros((2, 2), np.float32), 0, "1.2")
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID = MediaStorageDirectoryStorage
    for name in ("Rows", "Columns", "PixelData", "SeriesInstanceUID", "Modality"):
        delattr(data, name)
    data.save_as(folder / "DICOMDIR", enforce_file_format=True)


def found(folder: Path) -> dict[str, tuple[str, str | None]]:
    """Return folder and series of each source, by its name."""
    return {
        source.name: (source.path.relative_to(folder.resolve()).as_posix(), source.series)
        for source in find_sources([folder])
    }


def test_each_series_of_a_flat_folder_is_a_scan_of_its_own(tmp_path: Path) -> None:
    folder = tmp_path / "flat"
    bodies = {FIRST: write(folder, FIRST), SECOND: write(folder, SECOND, offset=30)}
    write(folder, "1.2.826.3333", count=2, change=scout)
    sources = find_sources([tmp_path])
    assert sources == [
        Source("flat_1111", folder.resolve(), FIRST),
        Source("flat_2222", folder.resolve(), SECOND),
    ]
    for source in sources:
        scan = read_scan(source.path, source.series)
        np.testing.assert_array_equal(scan.hu, bodies[source.series or ""])
    hashes = [hash_source(source.path, source.series) for source in sources]
    assert len({*hashes, hash_source(folder)}) == 3
    main(PrepareSettings((tmp_path,), tmp_path / "store", workers=1))
    assert (tmp_path / "store" / "flat_1111.json").exists()
    assert (tmp_path / "store" / "flat_2222.json").exists()


def test_an_index_or_a_scout_above_a_scan_does_not_store_it_twice(tmp_path: Path) -> None:
    write(tmp_path / "patient" / "scan", FIRST)
    index_of_disk(tmp_path / "patient")
    assert found(tmp_path) == {"scan": ("patient/scan", None)}
    write(tmp_path / "patient", SECOND, count=1, change=scout)
    assert found(tmp_path) == {
        "scan": ("patient/scan", None),
        # It is refused with its reason, alone.
        "patient_2222": ("patient", SECOND),
    }


def test_files_before_the_slices_links_and_pipes_do_no_harm(tmp_path: Path) -> None:
    write(tmp_path / "tree" / "patient", FIRST)
    for name in (".DS_Store", "AAREADME.TXT", "AUTORUN.INF"):
        (tmp_path / "tree" / "patient" / name).write_text("x")
    os.mkfifo(tmp_path / "tree" / "aaa")
    write(tmp_path / "archive", SECOND)
    (tmp_path / "tree" / "linked").symlink_to(tmp_path / "archive")
    (tmp_path / "tree" / "patient" / "round").symlink_to(tmp_path / "tree")
    (tmp_path / "tree" / "absent.nii.gz").symlink_to("nothing")
    assert found(tmp_path / "tree") == {
        "patient": ("patient", None),
        "linked": ("linked", None),
        "absent": ("absent.nii.gz", None),
    }
    assert len(find_sources([tmp_path / "tree", tmp_path / "archive"])) == 3


def test_what_is_not_there_or_damaged_is_skipped_with_its_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "scans" / "good", FIRST)
    write(tmp_path / "scans" / "torn", SECOND)
    torn = tmp_path / "scans" / "torn" / "2222_03"
    torn.write_bytes(torn.read_bytes()[:-9])
    write(tmp_path / "scans" / "hole", SECOND)
    (tmp_path / "scans" / "hole" / "2222_20").symlink_to("nothing")
    (tmp_path / "scans" / "absent.nii.gz").symlink_to("nothing")
    settings = PrepareSettings((tmp_path / "scans",), tmp_path / "store", workers=1)
    for _ in range(2):
        # The second time it looks at what is there already.
        main(settings)
        told = capsys.readouterr().err
        assert "1 scans, 3 skipped" in told
        assert "whole CT slice in 2222_03" in told
        assert "a link to nothing: 2222_20" in told
        assert "Traceback" not in told
