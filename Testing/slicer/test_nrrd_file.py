"""The files of a run: what the engine reads of ours, and what we read of the engine's."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ctscreener.errors import InputError
from ctscreener.files import read_scan
from ctscreener.maps import write_map
from ctscreener.scan import Scan
from ScreenerSlicerLib.process import nrrd_file
from ScreenerSlicerLib.process.nrrd_file import PIECE_BYTES, read_map, write_scan


class Stopped(Exception):
    """What a check raises."""


def go_on() -> None:
    """Never stop."""


def turned(left_handed: bool) -> np.ndarray:
    """An oblique affine with numbers that have no short decimal form."""
    cos, sin = np.cos(0.3), np.sin(0.3)
    affine = np.eye(4)
    side = 1 if left_handed else -1
    affine[:3, :3] = [[0, 0, side * 0.7], [-3.1 * sin, -1.3 * cos, 0], [3.1 * cos, -1.3 * sin, 0]]
    affine[:3, 3] = [1 / 3, -1e-7, 1234.5678901234567]
    return affine


@pytest.fixture
def hu(rng: np.random.Generator) -> np.ndarray:
    hu = np.full((17, 19, 23), -1000.0)
    hu[3:-3, 4:-4, 5:-5] = 40
    return hu + rng.normal(0, 5, hu.shape)


@pytest.mark.parametrize("left_handed", [False, True])
@pytest.mark.parametrize("kind", [np.float32, np.int16, np.float64, np.int64, ">i2"])
def test_the_engine_reads_the_same_voxels_at_the_same_place(
    hu: np.ndarray, kind: type | str, left_handed: bool, tmp_path: Path
) -> None:
    # A view that is not contiguous, as numpy often has them.
    scan = Scan(hu.astype(kind)[::-1, :, ::-1], turned(left_handed))
    write_scan(tmp_path / "scan.nrrd", scan, go_on)
    read = read_scan(tmp_path / "scan.nrrd")
    np.testing.assert_array_equal(read.hu, scan.hu.astype(np.float32))
    np.testing.assert_allclose(read.affine, scan.affine, atol=1e-6)


@pytest.mark.parametrize("left_handed", [False, True])
def test_a_map_of_the_engine_comes_back_bit_by_bit(
    hu: np.ndarray, left_handed: bool, tmp_path: Path
) -> None:
    rarity = hu.astype(np.float32)
    rarity[0] = np.nan
    scan = Scan(hu, turned(left_handed))
    write_map(tmp_path / "map.nrrd", rarity, scan.affine)
    read = read_map(tmp_path / "map.nrrd", scan, go_on)
    assert read.dtype == np.float32
    np.testing.assert_array_equal(read, rarity)


def test_a_scan_is_handed_over_in_a_few_turns(tmp_path: Path) -> None:
    """Each turn waits for Slicer's event loop, which may take a tenth of a second."""
    scan = Scan(np.zeros((150, 256, 256), np.int16), turned(False))
    checks: list[int] = []
    write_scan(tmp_path / "scan.nrrd", scan, lambda: checks.append(1))
    assert len(checks) <= 1 + scan.hu.nbytes / PIECE_BYTES * 1.5
    assert (tmp_path / "scan.nrrd").stat().st_size < scan.hu.nbytes + 1000


def test_both_stop_between_two_pieces(
    hu: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nrrd_file, "PIECE_BYTES", 4 * hu[0].size)
    scan = Scan(hu.astype(np.float32), turned(False))
    left = [3]

    def check() -> None:
        left[0] -= 1
        if left[0] < 0:
            raise Stopped

    with pytest.raises(Stopped):
        write_scan(tmp_path / "scan.nrrd", scan, check)
    write_map(tmp_path / "map.nrrd", scan.hu, scan.affine)
    left[0] = 0
    with pytest.raises(Stopped):
        read_map(tmp_path / "map.nrrd", scan, check)


@pytest.mark.parametrize("voxels", [3 * PIECE_BYTES // 4, 3 * PIECE_BYTES // 4 + 5])
def test_an_almost_empty_map_is_unpacked_in_small_pieces_too(voxels: int, tmp_path: Path) -> None:
    rarity = np.full((1, 1, voxels), np.nan, np.float32)
    rarity[..., -1] = 5
    scan = Scan(rarity, turned(False))
    write_map(tmp_path / "map.nrrd", rarity, scan.affine)
    assert (tmp_path / "map.nrrd").stat().st_size < rarity.nbytes / 50
    pieces = list[int]()
    read = read_map(tmp_path / "map.nrrd", scan, lambda: pieces.append(1))
    np.testing.assert_array_equal(read, rarity)
    assert len(pieces) >= rarity.nbytes / PIECE_BYTES


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-200])


def damage(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[-5000:-4000] = bytes(1000)
    file.write_bytes(content)


def replace(old: bytes, new: bytes, file: Path) -> None:
    file.write_bytes(file.read_bytes().replace(old, new, 1))


@pytest.mark.parametrize(
    ("break_it", "found"),
    [
        (cut, "cut short"),
        (damage, "damaged"),
        (lambda file: file.write_bytes(b"no map"), "no NRRD"),
        (lambda file: replace(b"type: float", b"type: double", file), "'double'"),
        (lambda file: replace(b"encoding: gzip", b"encoding: bzip2", file), "'bzip2'"),
        (lambda file: replace(b"sizes: 23 19 17", b"sizes: 23 17 19", file), "voxels"),
        (lambda file: replace(b"left-posterior", b"scanner", file), "scanner"),
        (lambda file: replace(b"space origin: (-", b"space origin: (-7", file), "another place"),
    ],
)
def test_a_map_that_is_not_the_scans_is_refused(
    break_it: Callable[[Path], object], found: str, hu: np.ndarray, tmp_path: Path
) -> None:
    scan = Scan(hu, turned(False))
    write_map(tmp_path / "map.nrrd", hu.astype(np.float32), scan.affine)
    break_it(tmp_path / "map.nrrd")
    with pytest.raises(InputError, match=found) as refused:
        read_map(tmp_path / "map.nrrd", scan, go_on)
    assert refused.value.code == "result.unreadable"
