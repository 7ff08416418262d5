import gzip
import struct
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from ctscreener.files import files_of, read_scan
from ctscreener.scan import Scan
from Testing.engine.stored_files import int16, nifti_header, refused

NAN, INF = float("nan"), float("inf")


def put(head: bytearray, form: str, at: int, *values: float) -> bytearray:
    """Overwrite a field."""
    struct.pack_into("<" + form, head, at, *values)
    return head


@pytest.mark.parametrize(
    ("form", "at", "values"),
    [
        ("f", 108, [0]),
        ("f", 108, [348]),
        ("f", 108, [354]),
        ("f", 108, [352.5]),
        ("f", 108, [NAN]),
        ("f", 108, [INF]),
        ("f", 108, [-352]),
        ("f", 108, [1e30]),
        ("h", 72, [0]),
        ("h", 72, [8]),
        ("2h", 70, [64, 32]),
        ("2h", 70, [64, 64]),
        ("2h", 70, [2, 8]),
        ("2h", 70, [1, 1]),
        ("2h", 70, [1536, 128]),
        ("h", 40, [0]),
        ("h", 40, [8]),
        ("h", 40, [-3]),
        ("h", 42, [-16]),
        ("h", 42, [0]),
        ("h", 46, [19]),
        ("3h", 42, [1500, 1500, 1500]),
        ("f", 112, [INF]),
        ("2f", 112, [1, NAN]),
        ("4s", 344, [b"ni1"]),
        ("i", 0, [540]),
    ],
)
@pytest.mark.parametrize("zipped", [False, True])
def test_a_header_that_contradicts_itself_is_refused(
    tmp_path: Path, body: Scan, form: str, at: int, values: list[float], zipped: bool
) -> None:
    data = bytes(put(nifti_header(body), form, at, *values)) + int16(body)
    (tmp_path / "a.nii").write_bytes(gzip.compress(data) if zipped else data)
    refused(tmp_path / "a.nii", "scan.unreadable", "a.nii")


def test_the_voxels_come_from_the_file_that_was_asked_for(tmp_path: Path, body: Scan) -> None:
    head = bytes(nifti_header(body))
    (tmp_path / "scan.nii.gz").write_bytes(gzip.compress(head + int16(body)))
    (tmp_path / "scan.nii").write_bytes(head + int16(Scan(body.hu[::-1], body.affine)))
    np.testing.assert_array_equal(read_scan(tmp_path / "scan.nii.gz").hu, body.hu)
    np.testing.assert_array_equal(read_scan(tmp_path / "scan.nii").hu, body.hu[::-1])
    assert files_of(tmp_path / "scan.nii.gz") == [tmp_path / "scan.nii.gz"]


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "a.nii.GZ", "A.NII", "M\udcfcller.nii"])
@pytest.mark.parametrize("zipped", [False, True])
def test_the_content_tells_whether_a_file_is_zipped(
    tmp_path: Path, body: Scan, name: str, zipped: bool
) -> None:
    data = bytes(nifti_header(body)) + int16(body)
    path = Path(f"{tmp_path}/{name}")
    path.write_bytes(gzip.compress(data) if zipped else data)
    np.testing.assert_array_equal(read_scan(path).hu, body.hu)
    path.write_bytes(gzip.compress(gzip.compress(data)))
    refused(path, "scan.unreadable", "zipped twice")


def test_gzip_members_are_joined_and_a_bomb_is_left_alone(tmp_path: Path, body: Scan) -> None:
    data = bytes(nifti_header(body)) + int16(body)
    path = tmp_path / "a.nii.gz"
    path.write_bytes(gzip.compress(data[:500]) + gzip.compress(data[500:]))
    np.testing.assert_array_equal(read_scan(path).hu, body.hu)
    # 8 GB of zeros, which would take a minute to read.
    path.write_bytes(gzip.compress(data) + 1000 * gzip.compress(bytes(1 << 23)))
    refused(path, "scan.unreadable", "more data")


def test_metres_become_millimetres(tmp_path: Path, body: Scan) -> None:
    in_metres = Scan(body.hu, np.diag([1e-3, 1e-3, 1e-3, 1]) @ body.affine)
    head = put(nifti_header(in_metres), "B", 123, 1)
    (tmp_path / "a.nii").write_bytes(bytes(head) + int16(body))
    np.testing.assert_allclose(read_scan(tmp_path / "a.nii").affine, body.affine, atol=1e-4)
    (tmp_path / "a.nii").write_bytes(bytes(put(head, "B", 123, 2)) + int16(body))
    refused(tmp_path / "a.nii", "scan.spacing", "0.0025")
    (tmp_path / "a.nii").write_bytes(bytes(put(head, "B", 123, 5)) + int16(body))
    refused(tmp_path / "a.nii", "scan.spacing", "unit")


@pytest.mark.parametrize("seed", range(6))
def test_a_qform_means_what_it_means_to_nibabel(tmp_path: Path, body: Scan, seed: int) -> None:
    turn = Rotation.random(random_state=seed).as_matrix() * [1, 1, -1 if seed % 2 else 1]
    affine = np.eye(4)
    affine[:3, :3] = turn * [1.25, 1.5, 2.5]
    affine[:3, 3] = [-100.0, 20.0, 300.0]
    image = nib.Nifti1Image(body.hu.T.astype(np.int16), affine)
    image.set_qform(affine, 1)
    image.set_sform(None, 0)
    nib.save(image, tmp_path / "a.nii")
    found = read_scan(tmp_path / "a.nii").affine[:, [2, 1, 0, 3]]
    np.testing.assert_allclose(found, nib.load(tmp_path / "a.nii").affine, atol=1e-5)


@pytest.mark.parametrize(("shear", "fine"), [(1e-4, True), (9e-4, True), (2e-3, False)])
def test_a_sform_off_a_right_angle_by_rounding_is_read(
    tmp_path: Path, body: Scan, shear: float, fine: bool
) -> None:
    body.affine[0, 0] += shear * 2.5
    (tmp_path / "a.nii").write_bytes(bytes(nifti_header(body)) + int16(body))
    if fine:
        np.testing.assert_allclose(read_scan(tmp_path / "a.nii").affine, body.affine, atol=1e-5)
    else:
        refused(tmp_path / "a.nii", "scan.orientation", "perpendicular")


@pytest.mark.parametrize("sform", [1, 2])
def test_two_places_are_refused_where_nibabel_and_itk_would_differ(
    tmp_path: Path, body: Scan, sform: int
) -> None:
    head = put(nifti_header(body), "2h", 252, 1, sform)
    (tmp_path / "a.nii").write_bytes(bytes(put(head, "3f", 256, 0, 0.5, 0)) + int16(body))
    if sform == 1:
        np.testing.assert_allclose(read_scan(tmp_path / "a.nii").affine, body.affine, atol=1e-5)
    else:
        refused(tmp_path / "a.nii", "scan.orientation", "contradict")


@pytest.mark.parametrize("codes", [(0, 6), (7, 1), (256, 0), (-1, 1)])
def test_a_code_that_says_nothing_is_refused(
    tmp_path: Path, body: Scan, codes: tuple[int, int]
) -> None:
    head = put(nifti_header(body), "2h", 252, *codes)
    (tmp_path / "a.nii").write_bytes(bytes(head) + int16(body))
    refused(tmp_path / "a.nii", "scan.orientation", "codes")


@pytest.mark.parametrize(
    ("handed", "quaternion"), [(0.5, (0, 0, 1)), (1, (1, 1, 0)), (1, (NAN, 0, 0))]
)
def test_a_qform_that_is_no_rotation_is_refused(
    tmp_path: Path, body: Scan, handed: float, quaternion: tuple[float, ...]
) -> None:
    head = put(put(nifti_header(body), "2h", 252, 1, 0), "3f", 256, *quaternion)
    (tmp_path / "a.nii").write_bytes(bytes(put(head, "f", 76, handed)) + int16(body))
    refused(tmp_path / "a.nii", "scan.orientation", "rotation")
