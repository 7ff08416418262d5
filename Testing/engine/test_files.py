"""Scans in files: read alike from every format, and refused where they place or hold no volume."""

import gzip
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from ctscreener.errors import InputError
from ctscreener.files import read_mask, read_scan
from ctscreener.itk import to_image
from ctscreener.scan import Scan
from Testing.engine.random_affine import random_affine

FORMATS = [".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd"]


def code_of(path: Path) -> str:
    """Return the code of the error that reading a file gives."""
    with pytest.raises(InputError) as caught:
        read_scan(path)
    assert "\n" not in str(caught.value)
    return caught.value.code


def write_nifti(path: Path, hu: np.ndarray, affine: np.ndarray) -> None:
    """Write a scan by nibabel: its voxel axes run the other way round than ours."""
    nib.save(nib.Nifti1Image(hu.T, affine[:, [2, 1, 0, 3]]), path)


def with_header(path: Path, **fields: object) -> Path:
    """Overwrite some fields in the header of a NIfTI file."""
    raw = path.read_bytes()
    header = nib.Nifti1Header(raw[:348], check=False)
    for name, value in fields.items():
        header[name] = value
    path.write_bytes(header.binaryblock + raw[348:])
    return path


@pytest.mark.parametrize("ending", FORMATS)
@pytest.mark.parametrize("left_handed", [False, True])
def test_an_oblique_scan_reads_alike_from_every_format(
    tmp_path: Path, body: Scan, ending: str, left_handed: bool
) -> None:
    affine = random_affine(3, left_handed)
    path = tmp_path / f"scan{ending}"
    sitk.WriteImage(to_image(body.hu.astype(np.int16), affine), str(path))
    scan = read_scan(path)
    assert scan.hu.dtype == np.float32
    np.testing.assert_array_equal(scan.hu, body.hu)
    np.testing.assert_allclose(scan.affine, affine, atol=1e-4)


@pytest.mark.parametrize("seed", range(8))
def test_nifti_affines_are_those_of_nibabel(tmp_path: Path, body: Scan, seed: int) -> None:
    affine = random_affine(seed, left_handed=seed % 2 == 0)
    write_nifti(tmp_path / "scan.nii.gz", body.hu, affine)
    trusted = nib.load(tmp_path / "scan.nii.gz")
    scan = read_scan(tmp_path / "scan.nii.gz")
    np.testing.assert_array_equal(scan.hu, trusted.get_fdata().T)
    np.testing.assert_allclose(scan.affine[:, [2, 1, 0, 3]], trusted.affine, atol=1e-4)


def test_nifti_of_the_other_byte_order_with_a_slope_is_read(tmp_path: Path, body: Scan) -> None:
    stored = 2 * body.hu.T.astype(np.int16) - 14
    header = nib.Nifti1Header(endianness=">")
    image = nib.Nifti1Image(stored, body.affine[:, [2, 1, 0, 3]], header)
    nib.save(image, tmp_path / "scan.nii")
    path = with_header(tmp_path / "scan.nii", scl_slope=0.5, scl_inter=7)
    assert path.read_bytes()[:4] == b"\0\0\1\x5c"
    np.testing.assert_array_equal(read_scan(path).hu, body.hu)


def test_a_fourth_axis_of_one_volume_is_no_obstacle(tmp_path: Path, body: Scan) -> None:
    image = sitk.JoinSeries([to_image(body.hu, body.affine)])
    sitk.WriteImage(image, str(tmp_path / "scan.mha"))
    scan = read_scan(tmp_path / "scan.mha")
    np.testing.assert_array_equal(scan.hu, body.hu)
    np.testing.assert_allclose(scan.affine, body.affine)


def test_a_missing_or_unknown_file_is_refused(tmp_path: Path) -> None:
    assert code_of(tmp_path / "none.nii.gz") == "scan.missing"
    (tmp_path / "slice.dcm").write_bytes(b"DICM")
    assert code_of(tmp_path / "slice.dcm") == "scan.format"


@pytest.mark.parametrize("ending", [".nii", ".nii.gz", ".nrrd", ".mha"])
@pytest.mark.parametrize("kept", [0.0, 0.02, 0.5, 0.99])
@pytest.mark.parametrize("compressed", [False, True])
def test_a_file_cut_short_is_refused(
    tmp_path: Path, body: Scan, ending: str, kept: float, compressed: bool
) -> None:
    path = tmp_path / f"scan{ending}"
    sitk.WriteImage(to_image(body.hu, body.affine), str(path), compressed)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept * len(whole))])
    assert code_of(path) == "scan.unreadable"


def test_a_zipped_file_with_a_flipped_bit_is_refused(tmp_path: Path, body: Scan) -> None:
    write_nifti(tmp_path / "scan.nii", body.hu, body.affine)
    stored = bytearray(gzip.compress((tmp_path / "scan.nii").read_bytes(), 0))
    stored[3000] ^= 4
    (tmp_path / "scan.nii.gz").write_bytes(bytes(stored))
    assert code_of(tmp_path / "scan.nii.gz") == "scan.unreadable"


@pytest.mark.parametrize("text", [b"", b"not an image", b"x" * 1000])
@pytest.mark.parametrize("ending", FORMATS)
def test_a_file_of_something_else_is_refused(tmp_path: Path, ending: str, text: bytes) -> None:
    (tmp_path / f"scan{ending}").write_bytes(text)
    assert code_of(tmp_path / f"scan{ending}") == "scan.unreadable"


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"sform_code": 0, "qform_code": 0}, "scan.orientation"),
        ({"pixdim": [1, 0, 1, 1, 0, 0, 0, 0]}, "scan.spacing"),
        ({"pixdim": [1, 1.25, 1.5, np.nan, 0, 0, 0, 0]}, "scan.spacing"),
        ({"pixdim": [1, 1.25, 1.5, 40, 0, 0, 0, 0]}, "scan.orientation"),
        ({"pixdim": [1, 1.25, 1.5, 5, 0, 0, 0, 0]}, "scan.orientation"),
        ({"srow_x": [0, 0, 0, 0]}, "scan.spacing"),
        ({"srow_x": [np.nan] * 4}, "scan.orientation"),
        ({"srow_y": [0, -1.5, 1, 0]}, "scan.orientation"),
        ({"magic": b"n+2"}, "scan.unreadable"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else value,
)
def test_a_nifti_header_that_places_nothing_is_refused(
    tmp_path: Path, body: Scan, fields: dict[str, object], code: str
) -> None:
    write_nifti(tmp_path / "scan.nii", body.hu, body.affine)
    path = with_header(tmp_path / "scan.nii", **fields)
    assert code_of(path) == code


def test_a_sform_that_contradicts_the_voxel_spacing_is_refused(tmp_path: Path, body: Scan) -> None:
    write_nifti(tmp_path / "scan.nii", body.hu, body.affine)
    path = with_header(tmp_path / "scan.nii", srow_y=[0, -1.6, 0, 0])
    with pytest.raises(InputError, match="contradict") as caught:
        read_scan(path)
    assert caught.value.code == "scan.orientation"


def test_a_sheared_sform_is_refused_where_itk_would_take_the_qform(
    tmp_path: Path, body: Scan
) -> None:
    write_nifti(tmp_path / "scan.nii", body.hu, body.affine)
    path = with_header(tmp_path / "scan.nii", qform_code=1, srow_y=[0, -1.5, 1, 0])
    with pytest.raises(InputError, match="sheared") as caught:
        read_scan(path)
    assert caught.value.code == "scan.orientation"


def test_an_nrrd_file_that_tells_no_space_is_refused(tmp_path: Path, body: Scan) -> None:
    head = b"NRRD0004\ntype: float\ndimension: 3\nsizes: 16 18 20\nspacings: 1 1 2\n"
    path = tmp_path / "scan.nrrd"
    path.write_bytes(head + b"encoding: raw\nendian: little\n\n" + body.hu.tobytes())
    assert code_of(path) == "scan.orientation"


def test_a_sheared_nrrd_file_is_refused(tmp_path: Path, body: Scan) -> None:
    body.affine[0, 0] = 0.7
    sitk.WriteImage(to_image(body.hu, body.affine), str(tmp_path / "scan.nrrd"))
    assert code_of(tmp_path / "scan.nrrd") == "scan.orientation"


@pytest.mark.parametrize("ending", [".nii.gz", ".nrrd"])
@pytest.mark.parametrize(
    ("shape", "code"),
    [
        ((3, 20, 18, 16), "scan.not_3d"),
        ((1, 18, 16), "scan.not_3d"),
        ((18, 16), "scan.not_3d"),
        ((12, 18, 16), "scan.too_few_slices"),
    ],
)
def test_images_that_are_no_volume_are_refused(
    tmp_path: Path, rng: np.random.Generator, ending: str, shape: tuple[int, ...], code: str
) -> None:
    values = rng.uniform(-1000, 100, shape).astype(np.float32)
    sitk.WriteImage(sitk.GetImageFromArray(values, False), str(tmp_path / f"scan{ending}"))
    assert code_of(tmp_path / f"scan{ending}") == code


@pytest.mark.parametrize("ending", [".nii.gz", ".nrrd"])
def test_colours_and_complex_numbers_are_refused(tmp_path: Path, body: Scan, ending: str) -> None:
    grey = to_image(body.hu, body.affine)
    path = tmp_path / f"scan{ending}"
    sitk.WriteImage(sitk.Compose(grey, grey, grey), str(path))
    assert code_of(path) == "scan.not_scalar"
    if ending != ".nrrd":
        sitk.WriteImage(sitk.RealAndImaginaryToComplex(grey, grey), str(path))
        assert code_of(path) == "scan.not_scalar"


@pytest.mark.parametrize("ending", [".nii", ".nii.gz", ".nrrd", ".mha"])
@pytest.mark.parametrize("number", [np.float32, np.float64])
def test_nan_is_seen_in_every_format(
    tmp_path: Path, body: Scan, ending: str, number: type
) -> None:
    body.hu[-1, -1, -1] = np.nan
    path = tmp_path / f"scan{ending}"
    sitk.WriteImage(to_image(body.hu.astype(number), body.affine), str(path))
    assert code_of(path) == "scan.not_finite"


def test_a_mask_is_read_where_its_scan_lies(tmp_path: Path, body: Scan) -> None:
    labels = np.zeros(body.shape, np.float32)
    labels[3:5, 4:9, 2] = 5
    sitk.WriteImage(to_image(labels, body.affine + 1e-3), str(tmp_path / "mask.nii.gz"))
    mask = read_mask(tmp_path / "mask.nii.gz", body)
    assert mask.dtype == np.uint8
    np.testing.assert_array_equal(mask, labels)


@pytest.mark.parametrize("change", ["flipped", "moved", "cropped"])
def test_a_mask_on_another_grid_is_refused(tmp_path: Path, body: Scan, change: str) -> None:
    affine, labels = body.affine.copy(), np.zeros(body.shape, np.uint8)
    if change == "flipped":
        affine[:, 0] *= -1
    elif change == "moved":
        affine[0, 3] += 0.5
    else:
        labels = labels[:-1]
    sitk.WriteImage(to_image(labels, affine), str(tmp_path / "mask.nrrd"))
    with pytest.raises(InputError) as caught:
        read_mask(tmp_path / "mask.nrrd", body)
    assert caught.value.code == "mask.grid"


@pytest.mark.parametrize("value", [0.5, 256, -1])
def test_a_mask_of_other_numbers_than_labels_is_refused(
    tmp_path: Path, body: Scan, value: float
) -> None:
    labels = np.full(body.shape, value, np.float32)
    sitk.WriteImage(to_image(labels, body.affine), str(tmp_path / "mask.nrrd"))
    with pytest.raises(InputError) as caught:
        read_mask(tmp_path / "mask.nrrd", body)
    assert caught.value.code == "mask.values"
