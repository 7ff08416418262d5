"""The card before a run: what it says, what it refuses, how fast, and how well it foresees."""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ctscreener import preprocess
from ctscreener.files import read_scan
from ctscreener.model import ModelSettings
from ctscreener.scan import Scan, reoriented_to_canonical
from ctscreener.tiled import body_tiles, padded
from ScreenerSlicerLib.preflight.card import examine, orientation
from ScreenerSlicerLib.preflight.conditions import Conditions
from ScreenerSlicerLib.preflight.estimate import SECONDS_A_VOXEL, START_SECONDS, timing_key
from ScreenerSlicerLib.preflight.hardware import Device, Gpu, Hardware
from ScreenerSlicerLib.preflight.models import BUNDLED, Tiling, Whole, read_model
from ScreenerSlicerLib.preflight.tile_count import SAMPLE_MM, count_tiles, sampled
from Testing.engine.torso import canonical_affine, torso, turned

CPU = Device("cpu", "CPU, 2 cores", "Running on the CPU.")
SETTINGS = ModelSettings()
TILING = Tiling(SETTINGS.preprocess.spacing, SETTINGS.tile, SETTINGS.pool)
MODEL = replace(read_model(BUNDLED / "preview"), tiling=TILING)
HARDWARE = Hardware(cores=2, memory_mb=16000, free_mb=8000)
CONDITIONS = Conditions(MODEL, CPU, HARDWARE)


SHAPE = (60, 84, 84)


@pytest.fixture(scope="module")
def scan() -> Scan:
    return torso(canonical_affine(SHAPE, (4.0, 3.0, 3.0)), SHAPE)


def value(card_of: Scan, label: str, conditions: Conditions = CONDITIONS) -> str:
    (line,) = [one for one in examine(card_of, conditions).lines if one.label == label]
    return f"{line.value} | {line.warning}"


def test_a_ct_is_described_and_may_be_screened(scan: Scan) -> None:
    card = examine(scan, CONDITIONS)
    assert card.refusal == ""
    assert card.notice == CPU.notice
    labels = [line.label for line in card.lines]
    assert labels == [
        *("Size", "Spacing", "Orientation", "Values", "Body", "Device", "Memory", "Time"),
    ]
    assert value(scan, "Size") == "84 x 84 x 60 voxels, 25 x 25 x 24 cm | "
    assert value(scan, "Spacing") == "3 x 3 x 4 mm | "
    assert value(scan, "Orientation") == "LPS, right-handed | "
    assert "guess" in value(scan, "Time")
    assert "HU" in card.text()


def test_a_distilled_model_is_guessed_to_be_faster(scan: Scan) -> None:
    fast = replace(CONDITIONS, model=replace(MODEL, teacher="another"))
    card, usual = examine(scan, fast), examine(scan, CONDITIONS)
    assert card.tiles == usual.tiles
    assert card.seconds is not None
    assert usual.seconds is not None
    start = START_SECONDS + SECONDS_A_VOXEL * scan.hu.size
    assert 1.5 * (card.seconds - start) < usual.seconds - start


def test_a_model_that_sees_the_whole_scan_is_timed_by_volume(scan: Scan) -> None:
    model = replace(MODEL, tiling=Whole((3.0, 1.5, 1.5), 35_000.0))
    whole = replace(CONDITIONS, model=model)
    card = examine(scan, whole)
    assert (card.refusal, card.tiles) == ("", 1)
    assert "tile" not in card.text()
    assert card.seconds is not None
    start = START_SECONDS + SECONDS_A_VOXEL * scan.hu.size
    twice = examine(scan, replace(whole, model=replace(model, tiling=Whole((3, 1.5, 1.5), 7e4))))
    assert twice.seconds is not None
    assert twice.seconds - start == pytest.approx(2 * (card.seconds - start))
    # Overlap changes nothing, and what tiles took before says nothing.
    other = replace(whole, overlap=0.0, seconds_a_tile={timing_key(model, CPU): 100.0})
    assert examine(scan, other).seconds == card.seconds
    # What runs took does.
    slow = replace(whole, times_as_long={timing_key(model, CPU): 3.0})
    assert examine(scan, slow).seconds == pytest.approx(3 * card.seconds)
    assert "guess" in card.text()
    assert "guess" not in examine(scan, slow).text()
    away = replace(whole, region=(900.0, 950.0, 0.0, 50.0, 0.0, 50.0))
    assert "region" in examine(scan, away).refusal


@pytest.mark.parametrize("dtype", [np.int16, np.float64])
def test_any_type_and_any_view_gives_the_same_card(scan: Scan, dtype: type) -> None:
    other = Scan(scan.hu.astype(np.int16).astype(dtype), scan.affine)
    same = Scan(scan.hu.astype(np.int16).astype(np.float32), scan.affine)
    assert examine(other, CONDITIONS) == examine(same, CONDITIONS)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda hu: np.clip((hu + 1000) / 8, 0, 255), "8-bit"),
        (lambda hu: hu + 1024, "1024"),
        (lambda hu: np.abs(hu) + 100, "Hounsfield units"),
        (lambda hu: np.full_like(hu, 7), "in every voxel"),
        (lambda hu: np.where(hu > 0, np.nan, hu), "NaN"),
        (lambda hu: hu[:9], "at least 16 voxels"),
        (lambda hu: np.full_like(hu, -1000) + hu * 1e-3, "no tissue"),
    ],
)
def test_what_is_no_ct_is_refused_with_one_line(
    scan: Scan, change: Callable[[np.ndarray], np.ndarray], expected: str
) -> None:
    card = examine(Scan(change(scan.hu), scan.affine), CONDITIONS)
    assert expected in card.refusal
    assert "\n" not in card.refusal
    assert card.seconds is None
    assert card.lines, "its grid is still described"


def test_sheared_axes_and_thick_slices_are_refused(scan: Scan) -> None:
    sheared = scan.affine.copy()
    sheared[0, 0] = 1.0
    assert "sheared" in examine(Scan(scan.hu, sheared), CONDITIONS).refusal
    thick = scan.affine.copy()
    thick[:3, 0] *= 3
    assert "12" in examine(Scan(scan.hu, thick), CONDITIONS).refusal
    broken = np.full((4, 4), np.nan)
    assert "affine" in examine(Scan(scan.hu, broken), CONDITIONS).refusal


def test_orientation_says_how_axes_lie(scan: Scan) -> None:
    mirrored = scan.affine.copy()
    mirrored[0, 2] *= -1
    assert "RPS, left-handed" in value(Scan(scan.hu, mirrored), "Orientation")
    tilted = turned(scan.affine, 12.0, 0, scan.shape)
    assert "tilted by 12 degrees" in value(Scan(scan.hu, tilted), "Orientation")
    assert orientation(np.array([[0, 0, 1.0], [1, 0, 0], [0, -1, 0]])) == "AIR"


@pytest.fixture
def engine_tiles(monkeypatch: pytest.MonkeyPatch) -> Callable[[Scan], int]:
    """The tiles that the engine runs; where they are does not depend on what they show."""
    monkeypatch.setattr(preprocess, "equalize", lambda hu, _: np.zeros(hu.shape, np.uint8))
    return run_by_engine


def run_by_engine(scan: Scan) -> int:
    """Count the tiles of a scan."""
    _, body = padded(preprocess.prepare(scan, SETTINGS.preprocess), SETTINGS)
    return len(body_tiles(body, SETTINGS, 0.5))


@pytest.mark.parametrize("degrees", [0.0, 20.0])
def test_tiles_are_foreseen(degrees: float, engine_tiles: Callable[[Scan], int]) -> None:
    shape = (140, 84, 90)
    affine = turned(canonical_affine(shape, (4.0, 3.0, 3.0)), degrees, 0, shape)
    scan = torso(affine, shape)
    other_way = Scan(scan.hu[::-1], scan.affine @ reversed_axis(shape[0]))
    assert examine(scan, CONDITIONS).tiles == pytest.approx(engine_tiles(scan), rel=0.34)
    assert examine(other_way, CONDITIONS).tiles == examine(scan, CONDITIONS).tiles


def reversed_axis(size: int) -> np.ndarray:
    """The way from an index counted from the other end of the first axis."""
    way = np.eye(4)
    way[0, 0], way[0, 3] = -1, size - 1
    return way


def test_tiles_stand_along_the_patients_axes() -> None:
    tiling = Tiling((1.0, 1.0, 1.0), (20, 40, 60), (2, 2, 2))
    corners = np.array([[0, 0, 0], [59.5, 39.5, 99.5]])
    ends = np.linspace(*corners, 200, dtype=np.float32)
    assert count_tiles(ends, tiling, 0.0) == 5
    assert count_tiles(ends[:, ::-1], tiling, 0.0) == 4


def test_tiles_of_real_scans_are_foreseen(
    real_scans: Path, engine_tiles: Callable[[Scan], int]
) -> None:
    scan = read_scan(real_scans / "lungfcp.nii.gz")
    assert examine(scan, CONDITIONS).tiles == pytest.approx(engine_tiles(scan), rel=0.25)


def test_a_region_takes_less_and_an_empty_one_is_refused(scan: Scan) -> None:
    low = replace(CONDITIONS, region=(-300.0, 300.0, -300.0, 300.0, -300.0, -110.0))
    assert 0 < examine(scan, low).tiles <= examine(scan, CONDITIONS).tiles
    away = replace(CONDITIONS, region=(900.0, 950.0, 0.0, 50.0, 0.0, 50.0))
    assert "region" in examine(scan, away).refusal


def test_the_time_is_what_tiles_took_before(scan: Scan) -> None:
    timed = {timing_key(MODEL, CPU): 100.0}
    card = examine(scan, replace(CONDITIONS, seconds_a_tile=timed))
    assert card.seconds is not None
    assert card.seconds == pytest.approx(100 * card.tiles, rel=0.1)
    guess = examine(scan, CONDITIONS)
    assert guess.seconds is not None
    assert guess.seconds < card.seconds
    other = Device("cuda:0", "RTX", gpu=Gpu("RTX 4090"))
    assert timing_key(MODEL, other) != timing_key(MODEL, CPU)
    assert "guess" in value(scan, "Time", replace(CONDITIONS, device=other, seconds_a_tile=timed))


def test_too_little_memory_is_a_warning(scan: Scan) -> None:
    little = replace(CONDITIONS, hardware=replace(HARDWARE, free_mb=500))
    assert "too little" in value(scan, "Memory", little)
    assert "too little" not in value(scan, "Memory")
    unknown = replace(CONDITIONS, hardware=None)
    assert "needs about" in value(scan, "Memory", unknown)
    card = Device("cuda:0", "GT 710", gpu=Gpu("GT 710", 2048, 700))
    assert "smaller" in value(scan, "Device", replace(CONDITIONS, device=card))


def test_without_a_model_or_a_probe_it_says_so(scan: Scan) -> None:
    assert examine(scan, Conditions()).refusal == "Choose a model."
    broken = replace(MODEL, tiling=None, problem="no model.json here")
    assert "no model.json here" in examine(scan, replace(CONDITIONS, model=broken)).refusal
    waiting = examine(scan, replace(CONDITIONS, device=None))
    assert waiting.refusal == ""
    assert waiting.lines[-1].value == "looking for a GPU"


def test_a_sample_lies_where_its_voxels_lay(scan: Scan) -> None:
    sample = sampled(scan)
    step = np.round(sample.spacing / scan.spacing).astype(int)
    index = np.array([2, 3, 1])
    assert sample.hu[tuple(index)] == scan.hu[tuple(index * step)]
    there = scan.affine @ [*(index * step), 1]
    np.testing.assert_allclose(sample.affine @ [*index, 1], there)
    assert min(sampled(Scan(scan.hu[:16], scan.affine)).shape) >= 16


def test_a_large_scan_takes_no_time(capsys: pytest.CaptureFixture[str]) -> None:
    hu = np.full((300, 512, 512), -1000, np.int16)
    hu[10:-10, 100:-100, 60:-60] = 40
    scan = Scan(hu, canonical_affine(hu.shape, (1.5, 0.75, 0.75)))
    walls, own = [], []
    assert examine(scan, CONDITIONS).refusal == ""
    for _ in range(5):
        wall, thread = time.perf_counter(), time.thread_time()
        examine(scan, CONDITIONS)
        walls.append(time.perf_counter() - wall)
        own.append(time.thread_time() - thread)
    assert sampled(scan).hu.size < (380 / SAMPLE_MM + 2) ** 2 * (450 / SAMPLE_MM + 2)
    with capsys.disabled():
        print(f"\nCard of 512x512x300: {1000 * min(walls):.1f} ms, own {1000 * min(own):.1f} ms")
    assert min(own) < 0.05


def test_the_engine_and_the_card_agree_on_the_canonical_frame(scan: Scan) -> None:
    # D, H, W of the engine's frame run along S, A and R: tile counting relies on it.
    axes = reoriented_to_canonical(scan).affine[:3, :3]
    assert np.abs(axes).argmax(axis=0).tolist() == [2, 1, 0]
