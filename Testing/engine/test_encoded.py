"""A whole-volume model screens a scan without seams, and its folder gives back what was saved."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from scipy import ndimage

from ctscreener import shifts as shifts_module
from ctscreener.calibration import Calibration
from ctscreener.encoded import Encoded, EncodedSettings, Part
from ctscreener.encoder import STEM_STRIDE
from ctscreener.findings import FindingSettings
from ctscreener.heads import GaussianSettings, HeadSettings, Source
from ctscreener.model import Model, load_model, save_model
from ctscreener.preprocess import Prepared, prepare
from ctscreener.resampling import resample
from ctscreener.scan import Scan
from ctscreener.score_whole import near, strided_affine
from ctscreener.screened import Screened
from ctscreener.screening import ScreenSettings, score, screen
from Testing.engine.small_encoded import SETTINGS, SIZES, small_encoded
from Testing.engine.small_model import CARD, PROVENANCE
from Testing.engine.torso import (
    AXES,
    SHAPE,
    TABLE_RAS,
    canonical_affine,
    in_other_axes,
    index_of,
    torso,
)

EXACT = ScreenSettings(findings=FindingSettings(threshold=1.5), device="cpu", reduced=False)
CPU = torch.device("cpu")
SCAN = torso(canonical_affine(SHAPE, (3.9, 3.7, 4.1), (1.3, 2.1, -0.7)))


@pytest.fixture(scope="module")
def prepared() -> Prepared:
    """The torso as the encoder sees it."""
    return prepare(SCAN, SETTINGS.preprocess)


@pytest.fixture(scope="module")
def scores(prepared: Prepared) -> np.ndarray:
    """Scores of the torso in float32."""
    return score(prepared, small_encoded(), EXACT, CPU).scores


@pytest.fixture(scope="module")
def model(scores: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Model:
    """The small model, as loaded from disk."""
    folder = tmp_path_factory.mktemp("models") / "whole"
    scale = Calibration.fit(scores[np.isfinite(scores)])
    save_model(folder, small_encoded(), scale, PROVENANCE, CARD)
    return load_model(str(folder))


@pytest.fixture(scope="module")
def screened(model: Model) -> Screened:
    """The torso, screened in float32."""
    return screen(SCAN, model, EXACT)


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
    assert np.nanstd(screened.rarity) > 0.1
    assert np.nanmin(screened.rarity) >= 0
    assert screened.findings


def test_the_encoder_sees_hu_as_they_are(prepared: Prepared) -> None:
    assert prepared.image.dtype == np.int16
    assert prepared.image.min() < -800
    assert prepared.image.max() > 600


@pytest.mark.parametrize(("order", "flips"), AXES)
def test_the_axes_of_the_file_do_not_matter(
    model: Model, screened: Screened, order: tuple[int, int, int], flips: tuple[int, int, int]
) -> None:
    stored = in_other_axes(SCAN, order, flips)
    rarity = screen(stored, model, EXACT).rarity
    expected = in_other_axes(Scan(screened.rarity, SCAN.affine), order, flips).hu
    # One HU may round the other way.
    np.testing.assert_allclose(rarity, expected, atol=0.05)
    assert np.nanmedian(np.abs(rarity - expected)) < 1e-3


@pytest.mark.parametrize("depth", [1, 3, 1000])
def test_scores_do_not_depend_on_slabs(
    prepared: Prepared, scores: np.ndarray, depth: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shifts_module, "SLAB", depth)
    found = score(prepared, small_encoded(), EXACT, CPU).scores
    np.testing.assert_allclose(found, scores, atol=1e-4)


def test_no_slab_shows_in_bfloat16(prepared: Prepared, monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps from slice to slice where slabs meet are those of the whole, as they are elsewhere."""
    reduced, steps = replace(EXACT, reduced=True), []
    for depth in (5, 1000):
        monkeypatch.setattr(shifts_module, "SLAB", depth)
        found = score(prepared, small_encoded(), reduced, CPU).scores
        steps.append(np.diff(found, axis=0))
    more = np.nanmean(np.abs(steps[0] - steps[1]), axis=(1, 2))
    faces = np.arange(4, len(more), 5)
    elsewhere = np.delete(more, faces)
    assert len(faces) > 2
    assert more[faces].max() <= elsewhere.max() + 0.01 * np.nanstd(steps[1])


def test_bfloat16_hardly_moves_a_score(prepared: Prepared, scores: np.ndarray) -> None:
    reduced = score(prepared, small_encoded(), replace(EXACT, reduced=True), CPU).scores
    assert reduced.dtype == np.float32
    body = np.isfinite(scores)
    np.testing.assert_array_equal(np.isfinite(reduced), body)
    assert np.corrcoef(scores[body], reduced[body])[0, 1] > 0.98


def test_the_score_is_the_weighted_sum_of_its_parts(prepared: Prepared) -> None:
    def of(discriminator: Part, density: Part) -> np.ndarray:
        made = replace(SETTINGS, discriminator_part=discriminator, density_part=density)
        return small_encoded(made).whole(prepared.image, prepared.body, CPU, lambda *_: None)[0]

    alone = of(Part(), Part(0.0)), of(Part(0.0), Part())
    assert min(part.std() for part in alone) > 0.1
    both = of(Part(2.0, 1.0, 4.0), Part(0.5, -1.0, 0.1))
    expected = 2 * (alone[0] - 1) / 4 + 0.5 * (alone[1] + 1) / 0.1
    np.testing.assert_allclose(both, expected, rtol=1e-4, atol=1e-3)


def test_a_score_lies_where_the_encoders_stride_says(prepared: Prepared) -> None:
    found = score(prepared, small_encoded(), EXACT, CPU)
    assert found.scores.shape == tuple(
        -(-n // unit) for n, unit in zip(prepared.shape, STEM_STRIDE, strict=True)
    )
    voxel = np.array([3, 2, 1])
    of_scores = found.affine @ [*voxel, 1]
    np.testing.assert_allclose(of_scores, prepared.affine @ [*voxel * STEM_STRIDE, 1])
    np.testing.assert_allclose(strided_affine(prepared.affine, (1, 1, 1)), prepared.affine)


def test_what_is_interpolated_for_the_body_is_scored(rng: np.random.Generator) -> None:
    body = ndimage.binary_dilation(rng.random((11, 13, 12)) < 0.005)
    found = near(body, STEM_STRIDE)
    for index in np.ndindex(found.shape):
        box = tuple(
            slice(max(0, k * unit - unit + 1), k * unit + unit)
            for k, unit in zip(index, STEM_STRIDE, strict=True)
        )
        assert found[index] == body[box].any()


def test_a_region_is_scored_as_in_the_whole_scan(model: Model, screened: Screened) -> None:
    region = (-40.0, 10.0, -200.0, 30.0, -30.0, 60.0)
    part = screen(SCAN, model, replace(EXACT, region=region))
    scored = np.isfinite(part.rarity)
    assert 0 < scored.sum() < np.isfinite(screened.rarity).sum() / 2
    # Every score that one of the region's voxels is interpolated from is there.
    np.testing.assert_allclose(part.rarity[scored], screened.rarity[scored], atol=0.02)


def test_progress_is_told_to_the_end(model: Model) -> None:
    told: list[tuple[str, int, int]] = []
    screen(SCAN, model, EXACT, lambda *step: told.append(step))
    steps = [(done, total) for stage, done, total in told if stage == "scoring"]
    assert len({total for _, total in steps}) == 1
    assert [done for done, _ in steps] == sorted({done for done, _ in steps})
    assert steps[-1][0] == steps[-1][1] > 1


def test_a_small_scan_is_screened(model: Model) -> None:
    shape = (22, 25, 25)
    result = screen(torso(canonical_affine(shape), shape), model, EXACT)
    assert result.rarity.shape == shape
    assert np.isfinite(result.rarity[2:-2, 2:-2, 2:-2]).all()


def test_everything_comes_back(model: Model, tmp_path: Path) -> None:
    assert model.settings == SETTINGS
    assert isinstance(model.networks, Encoded)
    assert not model.networks.training
    save_model(tmp_path, model.networks, model.calibration, model.provenance, model.card)
    again = load_model(str(tmp_path))
    assert json.loads((tmp_path / "model.json").read_text())["kind"] == "whole"
    assert again.sha256 == model.sha256
    for name, tensor in again.networks.state_dict().items():
        assert torch.equal(tensor, model.networks.state_dict()[name]), name
    kinds = {n: t.dtype for n, t in load_file(tmp_path / "weights.safetensors").items()}
    assert kinds["encoder.stem.weight"] == kinds["discriminator.inputs.stage0_cube1.weight"]
    assert kinds["encoder.stem.weight"] == torch.float16
    assert kinds["density.whiten"] == kinds["discriminator.out"] == torch.float32


def test_a_model_may_read_halved_images_alone(prepared: Prepared) -> None:
    half = (Source(0, half=True),)
    made = EncodedSettings(
        SETTINGS.preprocess, SIZES, HeadSettings(half, 3), GaussianSettings(half, 2)
    )
    found = score(prepared, small_encoded(made), EXACT, CPU).scores
    assert np.nanstd(found) > 0
