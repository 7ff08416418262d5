"""Brain MRI (IXI, BraTS2021, Br35H): a kind of its own, which what takes CT refuses."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ctscreener.errors import InputError
from ctscreener.files import read_scan
from Testing.training.datasets.fabricated import (
    CENTRE,
    check_places,
    grid,
    hu_of,
    labels_of,
    middle,
    read,
    write_nifti,
)
from training.data.brain import BrainSettings, prepare_brain
from training.data.sources import find_sources
from training.datasets import br35h, brats, ixi


def grey(places: np.ndarray) -> np.ndarray:
    """As an MRI has it: no unit, nothing below 0."""
    return np.maximum(hu_of(places) + 1000, 0)


def test_t2_images_of_ixi_lie_right(tmp_path: Path) -> None:
    for name in ("IXI012-HH-1211-T2", "IXI012-HH-1211-T1", "IXI013-Guys-1212-T2"):
        write_nifti(tmp_path / "IXI-T2" / f"{name}.nii.gz", grid("PSR"), grey)
    assert ixi.READER.fits(tmp_path)
    first, second = ixi.READER.examples(tmp_path)
    assert (first.name, first.patient, second.patient) == ("IXI012-HH-1211-T2", "IXI012", "IXI013")
    scan = ixi.READER.read(first, read_scan)
    np.testing.assert_allclose(middle(np.abs(scan.hu - 1160) < 40, scan.affine), CENTRE, atol=1)
    assert scan.hu.min() >= 0


def test_tumours_of_brats_lie_right(tmp_path: Path) -> None:
    for name, mask in (("BraTS2021_00000", True), ("BraTS2021_00001", False)):
        case = tmp_path / name
        for part in ("t1", "t1ce", "t2", "flair"):
            write_nifti(case / f"{name}_{part}.nii.gz", grid("LPS"))
        if mask:
            write_nifti(case / f"{name}_seg.nii.gz", grid("LPS"), labels_of, dtype="uint8")
    assert brats.READER.fits(tmp_path)
    train, validation = brats.READER.examples(tmp_path)
    assert train.scan.name == "BraTS2021_00000_t2.nii.gz"
    assert (train.split, validation.split, validation.mask) == ("train", "validation", None)
    check_places(*read(brats.READER, train))


def test_pictures_of_br35h_know_their_side(tmp_path: Path) -> None:
    picture = np.zeros((20, 30), np.uint8)
    picture[2:6, 3:9] = 250
    for part, name in (("yes", "y0"), ("yes", "y10"), ("no", "no3"), ("pred", "pred2")):
        (tmp_path / part).mkdir(exist_ok=True)
        Image.fromarray(picture).convert("RGB").save(tmp_path / part / f"{name}.jpg")
    assert br35h.READER.fits(tmp_path)
    found = list(br35h.READER.examples(tmp_path))
    assert [(one.name, one.split) for one in found] == [
        ("no3", "no"),
        ("y0", "yes"),
        ("y10", "yes"),
        ("pred2", "pred"),
    ]
    scan = br35h.READER.read(found[0], read_scan)
    assert scan.shape == (1, 20, 30)
    # The upper left of a picture is in front on the patient's right.
    right, front, _ = middle(scan.hu > 128, scan.affine) - middle(scan.hu > -1, scan.affine)
    assert right > 5
    assert front > 3
    (tmp_path / "no" / "no3.jpg").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"no3\.jpg"):
        br35h.READER.read(found[0], read_scan)


@pytest.mark.parametrize("name", ["ixi", "brats", "br35h"])
def test_what_takes_ct_refuses_them_by_name(tmp_path: Path, name: str) -> None:
    test_t2_images_of_ixi_lie_right(tmp_path)
    with pytest.raises(InputError, match="brain-mri") as error:
        find_sources([Path(f"{name}:{tmp_path}")])
    assert error.value.code == "datasets.kind"
    with pytest.raises(InputError, match="brain-mri"):
        find_sources([tmp_path if name == "ixi" else Path(f"{name}:{tmp_path}")])


def test_the_engine_refuses_their_voxels(tmp_path: Path) -> None:
    path = write_nifti(tmp_path / "IXI012-HH-1211-T2.nii.gz", grid("PSR"), grey)
    with pytest.raises(InputError, match="Hounsfield") as error:
        read_scan(path)
    assert error.value.code == "scan.not_hu"


def test_a_damaged_mri_is_told(tmp_path: Path) -> None:
    path = tmp_path / "IXI012-HH-1211-T2.nii.gz"
    write_nifti(path, grid("PSR"), grey)
    (example,) = ixi.READER.examples(tmp_path)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(InputError) as error:
        ixi.READER.read(example, read_scan)
    assert error.value.code.startswith("scan.")
    path.unlink()
    with pytest.raises(InputError, match="found nothing"):
        ixi.READER.read(example, read_scan)
    values = lambda at: np.where(grey(at) > 1000, np.nan, 1)
    write_nifti(path, grid("PSR"), values, dtype="float32")
    with pytest.raises(InputError, match="NaN"):
        ixi.READER.read(example, read_scan)


def test_no_scans_are_no_path() -> None:
    with pytest.raises(InputError, match="found none named"):
        find_sources(())


def test_a_ct_is_no_brain_mri(tmp_path: Path) -> None:
    write_nifti(tmp_path / "ct.nii.gz", grid("LPS"))
    with pytest.raises(InputError, match="Expected a brain MRI, found values down to -1000"):
        prepare_brain(read_scan(tmp_path / "ct.nii.gz"), BrainSettings())
