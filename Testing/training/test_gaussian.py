"""The full Gaussian: its features, its closed form, and that a lump is unlikely."""

from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
from scipy import ndimage, stats

from Testing.training.rivals import one_scan, prepared, scores_of, with_lump
from training.baselines.folder import load_folder
from training.baselines.gaussian import FullGaussian, GaussianSettings, channels, patches
from training.baselines.method import RunSettings
from training.baselines.parts.gaussian import Gaussian, Moments
from training.baselines.parts.store_tiles import store_tiles
from training.baselines.stage import main
from training.data.store import Store

SETTINGS = GaussianSettings(tile=(16, 24, 24), smooth=0.0)


def settings_for(folder: Path) -> GaussianSettings:
    """Those of the tests of all rivals."""
    return SETTINGS


POOL = (2, 3, 3)


@pytest.mark.parametrize("features", ["channels", "patches"])
def test_it_is_the_gaussian_of_scipy_and_a_lump_is_unlikely(
    tmp_path: Path, features: Literal["channels", "patches"]
) -> None:
    store, run = one_scan(tmp_path / "store"), tmp_path / "run"
    settings = replace(SETTINGS, features=features, data=RunSettings(store, run))
    assert main("gaussian", settings)
    rival = load_folder(run / "fitted").rival
    assert isinstance(rival, FullGaussian)
    rng = np.random.default_rng(0)
    parts = [(x, where) for x, _, where in store_tiles(Store(store), rival.settings, rng)]
    rows = torch.cat([rival.rows(x)[where] for x, where in parts]).double().numpy()
    covariance = np.cov(rows.T, bias=True)
    covariance += settings.shrink * covariance.diagonal().mean() * np.eye(len(covariance))
    expected = -stats.multivariate_normal(rows.mean(axis=0), covariance).logpdf(rows)
    x, where = parts[0]
    found = rival.scores(x, torch.zeros(1), where)
    np.testing.assert_allclose(found[where], expected[: where.sum()], rtol=1e-2, atol=0.1)
    assert found[~where].isnan().all()
    scan, lump = with_lump(prepared(store))
    scores, inside = scores_of(run, scan), lump[::2, 1::3, 1::3]
    known = np.isfinite(scores)
    assert np.median(scores[inside & known]) > np.quantile(scores[known], 0.9)


def test_rows_may_come_in_pieces(rng: np.random.Generator) -> None:
    rows = torch.from_numpy(rng.normal(size=(500, 4)) @ rng.normal(size=(4, 4)) + 3)
    moments = Moments(4)
    for piece in rows.split(137):
        moments.add(piece)
    np.testing.assert_allclose(moments.covariance(), np.cov(rows.T.numpy(), bias=True), rtol=1e-9)
    gaussian = Gaussian(4)
    gaussian.fit(moments, 0.0)
    # Half of the squared distances' mean is half of the channels, by the fit.
    distances = 2 * (gaussian.nll(rows) - gaussian.constant)
    assert distances.mean().item() == pytest.approx(4, rel=1e-4)


def test_channels_that_hang_on_one_another_are_no_trouble() -> None:
    moments, gaussian = Moments(2), Gaussian(2)
    moments.add(torch.arange(10.0)[:, None].expand(10, 2))
    gaussian.fit(moments, 1e-3)
    assert gaussian.nll(torch.zeros(1, 2)).isfinite().all()


def test_the_channels_are_blurs_gradients_and_laplacians(rng: np.random.Generator) -> None:
    image = rng.random((24, 27, 30)).astype(np.float32)
    found = channels(torch.from_numpy(image)[None, None], (1, 1, 1))[0].numpy()
    inner = (slice(8, -8),) * 3
    np.testing.assert_array_equal(found[0], image)
    for number, width in enumerate((1, 2), start=1):
        smooth = ndimage.gaussian_filter(image, width, mode="nearest", truncate=3)
        np.testing.assert_allclose(found[number][inner], smooth[inner], atol=2e-5)
        slope = np.sqrt(sum(s**2 for s in np.gradient(smooth)))
        np.testing.assert_allclose(found[3 + number][inner], slope[inner], atol=2e-5)
        bend = ndimage.laplace(smooth)
        np.testing.assert_allclose(found[6 + number][inner], bend[inner], atol=4e-5)


def test_patches_are_the_blocks_around(rng: np.random.Generator) -> None:
    image = torch.from_numpy(rng.random((1, 1, 16, 24, 24)))
    found = patches(image, POOL)[0]
    blocks = image[0, 0].reshape(8, 2, 8, 3, 8, 3).mean(dim=(1, 3, 5))
    assert found.shape == (53, 8, 8, 8)
    near = blocks[3:6, 2:5, 3:6].flatten()
    far = blocks[2:7:2, 1:6:2, 2:7:2].flatten()
    expected = torch.cat([near, far]).unique()
    torch.testing.assert_close(
        found[:, 4, 3, 4].sort().values,
        expected[expected.diff(prepend=torch.tensor([-1.0])) > 1e-12],
    )
