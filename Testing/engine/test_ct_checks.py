from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ctscreener.ct_checks import check_grid, check_scan
from ctscreener.errors import InputError
from ctscreener.files import read_scan
from ctscreener.scan import CANONICAL, Scan


def grid(*spacing: float) -> np.ndarray:
    """Return an affine with this spacing along `(D, H, W)`."""
    affine = np.eye(4)
    affine[:3, :3] = CANONICAL.T * spacing
    return affine


def code_of(scan: Scan) -> str:
    """Return the code of the error that a scan gives."""
    with pytest.raises(InputError) as caught:
        check_scan(scan)
    assert "\n" not in str(caught.value)
    return caught.value.code


def test_a_body_passes(body: Scan) -> None:
    check_scan(body)


@pytest.mark.parametrize("padding", [-1024.0, -2000.0, -3024.0])
def test_padding_far_below_air_passes(body: Scan, padding: float) -> None:
    body.hu[:, :2] = padding
    check_scan(body)


def test_air_alone_is_left_to_the_search_for_a_body(rng: np.random.Generator) -> None:
    hu = rng.normal(-1000, 10, (20, 20, 20)).astype(np.float32)
    hu[5, 5, 5] = 3000
    check_scan(Scan(hu, grid(2, 1, 1)))


@pytest.mark.parametrize("spacing", [(3, 3, 3), (8, 1.2, 1.2), (0.6, 0.6, 0.6), (1.2, 9.9, 1.2)])
def test_spacings_of_real_scans_pass(spacing: tuple[float, ...]) -> None:
    check_grid(grid(*spacing))


@pytest.mark.parametrize(
    "spacing", [(0, 1, 1), (2, 0, 1), (40, 1, 1), (10, 1, 1), (2, 4, 4), (0.001, 0.001, 0.001)]
)
def test_spacings_that_no_scan_has_are_refused(body: Scan, spacing: tuple[float, ...]) -> None:
    assert code_of(Scan(body.hu, grid(*spacing))) == "scan.spacing"


def test_a_sheared_grid_is_refused_with_its_remedy(body: Scan) -> None:
    body.affine[1, 0] += 0.5
    with pytest.raises(InputError, match="dcm2niix") as caught:
        check_scan(body)
    assert caught.value.code == "scan.orientation"


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_an_affine_without_numbers_is_refused(body: Scan, value: float) -> None:
    body.affine[0, 3] = value
    assert code_of(body) == "scan.orientation"


@pytest.mark.parametrize("shape", [(15, 18, 18), (18, 15, 18), (18, 18, 15), (1, 64, 64)])
def test_fewer_than_16_slices_are_refused_whichever_axis_they_lie_on(
    rng: np.random.Generator, shape: tuple[int, ...]
) -> None:
    hu = rng.uniform(-1000, 100, shape).astype(np.float32)
    assert code_of(Scan(hu, grid(2, 1, 1))) == "scan.too_few_slices"


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_one_voxel_without_a_number_is_enough_to_refuse(body: Scan, value: float) -> None:
    body.hu[7, 7, 7] = value
    assert code_of(body) == "scan.not_finite"


def test_a_constant_scan_is_refused(body: Scan) -> None:
    body.hu[:] = -1000
    assert code_of(body) == "scan.constant"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda hu: np.clip((hu + 1000) / 6, 0, 255), "8-bit"),
        (lambda hu: np.maximum(hu + 1024, 0), "subtract 1024"),
        (lambda hu: hu + 1024 - 1000 * (hu < -990), "subtract 1024"),
        (lambda hu: np.abs(hu) * 0.4, "no air"),
        (lambda hu: (hu + 1000) / 2000, "no air"),
        (lambda hu: np.clip((hu + 1000) / 2000, 0, 1), "scaled to 0..1"),
        (lambda hu: np.maximum(hu, -150), "no air"),
        (lambda hu: np.where(hu > -500, hu * 60, hu), "soft tissue"),
    ],
    ids=[
        "8 bit",
        "1024 added",
        "1024 added, padded",
        "MR",
        "0 to 1",
        "clipped to 0 to 1",
        "clipped",
        "slope of 60",
    ],
)
def test_values_other_than_hounsfield_units_are_refused_and_named(
    body: Scan, change: Callable[[np.ndarray], np.ndarray], words: str
) -> None:
    with pytest.raises(InputError, match=words) as caught:
        check_scan(Scan(change(body.hu).astype(np.float32), body.affine))
    assert caught.value.code == "scan.not_hu"


def test_every_real_scan_passes(real_scans: Path) -> None:
    scans = [path for path in real_scans.glob("*.nii.gz") if "lesion" not in path.name]
    assert len(scans) >= 15
    for path in scans:
        assert read_scan(path).hu.dtype == np.float32
