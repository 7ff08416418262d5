"""A voxel's score depends on the scan and the model alone."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import ndimage

from ctscreener import preprocess as preprocess_module
from ctscreener.calibration import Calibration
from ctscreener.errors import InputError
from ctscreener.findings import FindingSettings, find
from ctscreener.model import Model
from ctscreener.parts import HEAD
from ctscreener.preprocess import Prepared, prepare
from ctscreener.provenance import request
from ctscreener.resampling import resample
from ctscreener.scan import Scan
from ctscreener.screened import Screened
from ctscreener.screening import ScreenSettings, score, screen
from Testing.engine.small_model import networks, small_model
from Testing.engine.torso import (
    AXES,
    COARSE,
    SHAPE,
    TABLE_RAS,
    canonical_affine,
    in_other_axes,
    index_of,
    torso,
    turned,
)

EXACT = ScreenSettings(
    findings=FindingSettings(threshold=1.5), overlap=0, device="cpu", reduced=False
)
CPU = torch.device("cpu")
SCAN = torso(canonical_affine(SHAPE, (3.9, 3.7, 4.1), (1.3, 2.1, -0.7)))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """The small model, as loaded from disk."""
    return small_model(tmp_path_factory.mktemp("models") / "small")


@pytest.fixture(scope="module")
def screened(model: Model) -> Screened:
    """The torso, screened in float32."""
    return screen(SCAN, model, EXACT)


@pytest.fixture(scope="module")
def prepared() -> Prepared:
    """The torso as the networks see it."""
    return prepare(SCAN, COARSE)


def test_the_map_lies_on_the_scans_grid_and_covers_its_body(
    screened: Screened, prepared: Prepared
) -> None:
    assert screened.rarity.shape == SCAN.shape
    assert screened.rarity.dtype == np.float32
    body = resample(
        prepared.body.astype(np.uint8), prepared.affine, SCAN.affine, SCAN.shape, 0, True
    )
    np.testing.assert_array_equal(np.isfinite(screened.rarity), body > 0)
    assert np.isnan(screened.rarity[index_of(SCAN.affine, TABLE_RAS)])
    assert np.isfinite(screened.rarity[index_of(SCAN.affine, (0.0, 0.0, 0.0))])
    # The map says something: no constant, and all of it is a rarity.
    assert np.nanstd(screened.rarity) > 0.1
    assert np.nanmin(screened.rarity) > 0


def test_rarities_of_a_fast_screening_come_from_its_own_scale(model: Model) -> None:
    fast = Calibration.fit(np.random.default_rng(1).normal(9, 7, 20_000))
    two = replace(model, calibration_fast=fast)
    half = replace(EXACT, overlap=0.5)
    assert np.array_equal(
        screen(SCAN, two, half).rarity, screen(SCAN, model, half).rarity, equal_nan=True
    )
    plain, own = screen(SCAN, model, EXACT).rarity, screen(SCAN, two, EXACT).rarity
    seen = np.isfinite(plain)
    nll = np.linspace(-100, 100, 200_001)
    back = np.interp(plain[seen], model.calibration.rarity(nll), nll)
    np.testing.assert_allclose(own[seen], fast.rarity(back), atol=0.01)
    assert np.abs(own[seen] - plain[seen]).max() > 0.1
    # Two results differ, so do what was asked for.
    keys = [request(each, EXACT, None)["model"]["settings_sha256"] for each in (model, two)]
    assert keys[0] != keys[1]


def test_a_threshold_that_no_rarity_reaches_is_announced(model: Model) -> None:
    heard = []
    settings = replace(EXACT, findings=FindingSettings(model.calibration.highest))
    result = screen(SCAN, model, settings, notice=lambda code, message: heard.append(code))
    assert heard == ["threshold.beyond"]
    assert result.findings == []
    assert np.nanmax(result.rarity) <= np.float32(model.calibration.highest)


def test_findings_of_a_head_are_listed_when_they_are_asked_for(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    def all_head(_hu: np.ndarray, body: np.ndarray, _spacing: np.ndarray) -> np.ndarray:
        return np.where(body, HEAD, 0).astype(np.uint8)

    monkeypatch.setattr(preprocess_module, "body_parts", all_head)
    heard = []
    low = replace(EXACT, findings=FindingSettings(0.3, 0))
    alone = screen(SCAN, model, low, notice=lambda code, _message: heard.append(code))
    assert alone.findings == []
    assert "findings.parts" in heard
    every = screen(SCAN, model, replace(low, all_parts=True))
    assert {one.part for one in every.findings} == {"head"}
    assert not any("beyond the torso" in told for told in every.notices)


@pytest.mark.parametrize(("order", "flips"), AXES)
def test_the_axes_of_the_file_do_not_matter(
    model: Model, screened: Screened, order: tuple[int, int, int], flips: tuple[int, int, int]
) -> None:
    stored = in_other_axes(SCAN, order, flips)
    rarity = screen(stored, model, EXACT).rarity
    expected = in_other_axes(Scan(screened.rarity, SCAN.affine), order, flips).hu
    # One grey level of 255 may round the other way: a few hundredths of rarity.
    np.testing.assert_allclose(rarity, expected, atol=0.05)
    assert np.nanmedian(np.abs(rarity - expected)) < 1e-3


@pytest.mark.parametrize("axis", [0, 2])
def test_a_turned_scan_gives_nearly_the_same_map(
    model: Model, screened: Screened, axis: int
) -> None:
    scan = torso(turned(SCAN.affine, 5, axis, SHAPE))
    rarity = screen(scan, model, EXACT).rarity
    back = resample(rarity, scan.affine, SCAN.affine, SCAN.shape)
    deep = ndimage.binary_erosion(np.isfinite(screened.rarity), iterations=4) & np.isfinite(back)
    assert deep.mean() > 0.1
    assert np.corrcoef(back[deep], screened.rarity[deep])[0, 1] > 0.9


def test_a_scan_smaller_than_a_tile_is_screened(model: Model) -> None:
    shape = (22, 25, 25)
    scan = torso(canonical_affine(shape), shape)
    result = screen(scan, model, EXACT)
    assert result.tiles == 1
    assert result.rarity.shape == shape
    assert np.isfinite(result.rarity[2:-2, 2:-2, 2:-2]).all()


def test_every_stage_tells_its_progress_to_the_end(model: Model) -> None:
    told: list[tuple[str, int, int]] = []
    result = screen(SCAN, model, replace(EXACT, batch=5), lambda *step: told.append(step))
    stages = list(dict.fromkeys(stage for stage, _, _ in told))
    assert stages == ["preparing", "scoring", "restoring", "findings"]
    assert set(stages) == set(result.seconds)
    for stage in stages:
        steps = [(done, total) for name, done, total in told if name == stage]
        assert len({total for _, total in steps}) == 1
        assert [done for done, _ in steps] == sorted({done for done, _ in steps})
        assert steps[0][0] == 0
        assert steps[-1][0] == steps[-1][1] > 0
    assert ("scoring", result.tiles, result.tiles) in told
    assert result.device == "cpu"


def test_bfloat16_hardly_moves_a_score(prepared: Prepared) -> None:
    exact = score(prepared, networks(), EXACT, CPU).scores
    reduced = score(prepared, networks(), replace(EXACT, reduced=True), CPU).scores
    assert reduced.dtype == np.float32
    body = np.isfinite(exact)
    np.testing.assert_array_equal(np.isfinite(reduced), body)
    assert np.corrcoef(exact[body], reduced[body])[0, 1] > 0.98


def test_findings_are_those_of_the_map(screened: Screened) -> None:
    assert screened.findings
    # Of the parts of the body the map knows nothing.
    placed = [replace(finding, part="") for finding in screened.findings]
    assert placed == find(screened.rarity, SCAN, EXACT.findings)


def test_a_scan_without_a_body_is_refused(model: Model) -> None:
    with pytest.raises(InputError) as error:
        screen(Scan(np.full(SHAPE, -1000, np.float32), SCAN.affine), model, EXACT)
    assert error.value.code == "scan.no_body"


def test_a_device_that_is_not_here_is_refused(model: Model) -> None:
    with pytest.raises(InputError) as error:
        screen(SCAN, model, replace(EXACT, device="cuda:99"))
    assert error.value.code == "device.unavailable"


def test_a_region_is_scored_as_in_the_whole_scan(model: Model, screened: Screened) -> None:
    region = (-40.0, 10.0, -200.0, 30.0, -30.0, 60.0)
    part = screen(SCAN, model, replace(EXACT, region=region))
    scored = np.isfinite(part.rarity)
    assert 0 < scored.sum() < np.isfinite(screened.rarity).sum() / 2
    # Scores are interpolated on the way back: at the region's border, from fewer neighbours.
    inside = ndimage.binary_erosion(scored, iterations=4)
    assert inside.sum() > 1000
    np.testing.assert_allclose(part.rarity[inside], screened.rarity[inside], atol=0.02)
    ras = SCAN.affine[:3, :3] @ np.argwhere(scored).T + SCAN.affine[:3, 3:]
    # A scan's voxel has the score of the prepared one that it lies in.
    slack = np.array(COARSE.spacing)[::-1] / 2 + 1e-6
    for axis in range(3):
        assert ras[axis].min() >= region[2 * axis] - slack[axis]
        assert ras[axis].max() <= region[2 * axis + 1] + slack[axis]
        assert np.ptp(ras[axis]) > 30


def test_a_region_without_body_is_refused(model: Model) -> None:
    with pytest.raises(InputError, match="region"):
        screen(SCAN, model, replace(EXACT, region=(900.0, 950.0, -9.0, 9.0, -9.0, 9.0)))
