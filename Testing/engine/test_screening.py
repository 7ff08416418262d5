"""A voxel's score depends on the scan and the model alone."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import ndimage

from ctscreener import preprocess as preprocess_module
from ctscreener import tiled as tiled_module
from ctscreener.calibration import Calibration
from ctscreener.errors import InputError
from ctscreener.findings import FindingSettings, find
from ctscreener.model import Model, ModelSettings, Networks
from ctscreener.parts import HEAD
from ctscreener.preprocess import Prepared, prepare
from ctscreener.provenance import request
from ctscreener.resampling import resample
from ctscreener.scan import Box, Scan
from ctscreener.screened import Screened
from ctscreener.screening import ScreenSettings, score, screen
from ctscreener.tiled import batch_of, body_tiles, padded, pooled_mask
from ctscreener.tiles import pooled
from Testing.engine.small_model import SETTINGS, networks, small_model
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
POOL = SETTINGS.pool


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


def corner_of_body() -> Prepared:
    """Noise of several tiles, of which only one corner is body."""
    shape = (48, 72, 108)
    image = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    body = np.zeros(shape, bool)
    body[:10, :20, :30] = True
    return Prepared(image, body, np.eye(4))


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


@pytest.mark.parametrize("batch", [3, 100])
def test_the_batch_does_not_matter(prepared: Prepared, batch: int) -> None:
    one = score(prepared, networks(), EXACT, CPU)
    many = score(prepared, networks(), replace(EXACT, batch=batch), CPU)
    assert one.tiles == many.tiles > 3
    np.testing.assert_allclose(many.scores, one.scores, atol=1e-3, rtol=1e-4)


def test_the_order_of_tiles_does_not_matter(
    prepared: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = replace(EXACT, overlap=0.25)
    forward = score(prepared, networks(), settings, CPU)
    assert forward.tiles > 8

    def backward(body: np.ndarray, model: ModelSettings, overlap: float) -> list[Box]:
        found = body_tiles(body, model, overlap)
        return [found[index] for index in np.random.default_rng(0).permutation(len(found))]

    monkeypatch.setattr(tiled_module, "body_tiles", backward)
    np.testing.assert_array_equal(
        score(prepared, networks(), settings, CPU).scores, forward.scores
    )


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


def test_what_is_added_to_fill_a_tile_repeats_the_edge_and_is_not_scored() -> None:
    small = corner_of_body()
    small = Prepared(small.image[:10, :72, :30], small.body[:10, :72, :30], small.affine)
    image, body = padded(small, SETTINGS)
    assert image.shape == body.shape == (24, 72, 36)
    np.testing.assert_array_equal(image[:10, :, :30], small.image)
    np.testing.assert_array_equal(image[10:, :, :30], image[[9] * 14, :, :30])
    np.testing.assert_array_equal(body[:10, :, :30], small.body)
    assert not body[10:].any()
    assert not body[:, :, 30:].any()


def test_a_tile_comes_with_its_own_place_and_mask(prepared: Prepared) -> None:
    where = pooled_mask(prepared.body, POOL)
    shape = prepared.image.shape
    boxes = [np.s_[4:28, 9:45, 15:51], np.s_[0:24, 0:36, 3:39]]
    x, positions, mask = batch_of(boxes, prepared.image, where, shape, SETTINGS)
    axes = ((np.arange(n // unit) + 0.5) * unit / n for n, unit in zip(shape, POOL, strict=True))
    place = np.stack(np.meshgrid(*axes, indexing="ij"))
    for index, box in enumerate(boxes):
        inside = pooled(box, POOL)
        np.testing.assert_allclose(x[index, 0], prepared.image[box] / 255, rtol=1e-6)
        np.testing.assert_allclose(positions[index], place[:, *inside], rtol=1e-5)
        np.testing.assert_array_equal(mask[index], where[inside])


def test_only_tiles_that_hold_body_go_through_the_networks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shown = []
    ours = Networks.scores

    def counted(self: Networks, x: torch.Tensor, *others: torch.Tensor) -> torch.Tensor:
        shown.append(len(x))
        return ours(self, x, *others)

    monkeypatch.setattr(Networks, "scores", counted)
    found = score(corner_of_body(), networks(), replace(EXACT, batch=2), CPU)
    assert found.scores.shape == (24, 24, 36)
    assert found.tiles == sum(shown) == 1
    scored = np.zeros(found.scores.shape, bool)
    scored[:5, :7, :10] = True
    np.testing.assert_array_equal(np.isfinite(found.scores), scored)


def test_what_is_scored_elsewhere_does_not_change_a_voxel() -> None:
    some = corner_of_body()
    everything = replace(some, body=np.ones_like(some.body))
    one = score(some, networks(), EXACT, CPU)
    other = score(everything, networks(), EXACT, CPU)
    assert other.tiles > one.tiles
    scored = np.isfinite(one.scores)
    np.testing.assert_allclose(other.scores[scored], one.scores[scored], atol=1e-3, rtol=1e-4)


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


def test_a_regions_conditions_see_the_body_around_it() -> None:
    settings = replace(
        SETTINGS, condition=replace(SETTINGS.condition, learned_shell=(0, 2), surround=((1, 3),))
    )
    body = np.random.default_rng(0).integers(0, 256, (48, 72, 72), dtype=np.uint8)
    whole = Prepared(body, np.ones(body.shape, bool), np.eye(4))
    region = np.zeros(body.shape, bool)
    region[20:30, 30:42, 30:42] = True
    part = score(replace(whole, region=region), networks(settings), EXACT, CPU).scores
    scored = np.isfinite(part)
    np.testing.assert_array_equal(scored, pooled_mask(region, POOL))
    everything = score(whole, networks(settings), EXACT, CPU).scores
    np.testing.assert_allclose(part[scored], everything[scored], atol=1e-3, rtol=1e-4)


def test_a_region_without_body_is_refused(model: Model) -> None:
    with pytest.raises(InputError, match="region"):
        screen(SCAN, model, replace(EXACT, region=(900.0, 950.0, -9.0, 9.0, -9.0, 9.0)))
