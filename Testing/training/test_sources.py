"""Where scans are found, and what their hashes cover."""

import os
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from ctscreener.errors import InputError
from training.data.sources import find_sources, hash_source
from training.data.store import Store
from training.prepare import PrepareSettings, main


def put(path: Path, content: bytes = b"x") -> Path:
    """Write a file, and its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def found(folder: Path) -> list[str]:
    """Paths of the scans below a folder, relative to it."""
    paths = [source.path for source in find_sources([folder])]
    return [path.relative_to(folder.resolve()).as_posix() for path in paths]


def write_patient(path: Path, tissue: int = 40) -> None:
    """Write an ellipsoid of soft tissue as an MHD file with its data beside it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    d, h, w = np.ogrid[-1:1:30j, -1:1:48j, -1:1:48j]
    grain = np.random.default_rng(0).normal(0, 20, (30, 48, 48))
    hu = np.where(d**2 / 4 + h**2 + w**2 < 0.6, tissue + grain, -1000 + grain)
    image = sitk.GetImageFromArray(hu.astype(np.int16))
    image.SetSpacing((3.4, 3.4, 5.0))
    sitk.WriteImage(image, str(path))


def test_headers_with_their_data_beside_them_are_scans(tmp_path: Path) -> None:
    for name in ("subset0/1.3.6.mhd", "subset0/1.3.6.raw", "b.nhdr", "b.raw.gz", "c.NII.gz"):
        put(tmp_path / name)
    put(tmp_path / "b_lesion.mhd")
    assert found(tmp_path) == ["b.nhdr", "c.NII.gz", "subset0/1.3.6.mhd"]


def test_names_in_a_store_are_names_that_any_disk_takes(tmp_path: Path) -> None:
    put(Path(f"{tmp_path}/M\udcfcller.nii"))
    put(Path(f"{tmp_path}/M\udcf6ller.nii"))
    names = [source.name for source in find_sources([tmp_path])]
    assert len(set(names)) == 2
    assert all(name.encode() for name in names)


def test_a_link_to_itself_is_no_scan(tmp_path: Path) -> None:
    put(tmp_path / "a" / "b.nii")
    os.symlink("link", tmp_path / "a" / "link")
    assert found(tmp_path) == ["a/b.nii"]
    with pytest.raises(InputError, match="No such"):
        find_sources([tmp_path / "a" / "link"])


def test_the_voxels_beside_a_header_count_for_hash_and_freshness(tmp_path: Path) -> None:
    write_patient(tmp_path / "scans" / "a.mhd")
    settings = PrepareSettings((tmp_path / "scans",), tmp_path / "store", workers=1)
    main(settings)
    before = hash_source(tmp_path / "scans" / "a.mhd")
    assert Store(settings.store).scans["a"].sha256 == before
    write_patient(tmp_path / "new" / "a.mhd", 60)
    os.replace(tmp_path / "new" / "a.raw", tmp_path / "scans" / "a.raw")
    main(settings)
    after = Store(settings.store).scans["a"].sha256
    assert before != after == hash_source(tmp_path / "scans" / "a.mhd")
    (tmp_path / "scans" / "a.raw").unlink()
    with pytest.raises(InputError, match="none"):
        main(settings)
