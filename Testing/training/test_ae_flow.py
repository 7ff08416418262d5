"""AE-FLOW: the decoder draws from what the flow gives, and both parts weigh alike in the score."""

from pathlib import Path

import torch
import torch.nn.functional as F

from ctscreener.preprocess import PreprocessSettings
from Testing.training.rivals import LOOP, fit, one_scan, prepared, scores_of, with_lump
from training.baselines.ae_flow import AeFlow, AeFlowSettings, Together, build
from training.baselines.folder import load_folder
from training.data.patches import PatchSettings

SETTINGS = AeFlowSettings(
    patches=PatchSettings(size=(8, 16, 16), count=4),
    channels=(8, 8),
    blocks=2,
    hidden=8,
    smooth=0.0,
    loop=LOOP,
)


def settings_for(folder: Path) -> AeFlowSettings:
    """Those of the tests of all rivals."""
    return SETTINGS


def test_the_loss_is_likelihood_and_residual_of_what_the_flow_gives() -> None:
    torch.manual_seed(0)
    rival = build(SETTINGS, PreprocessSettings()).eval()
    x = torch.rand(2, 1, 8, 16, 16)
    z, log_det = rival.flow(rival.unit(rival.encoder(x)))
    found = Together(rival, 0.3)(x)
    nll = ((0.5 * z**2).sum(1) - log_det).mean() / 8
    torch.testing.assert_close(found["nll"], nll)
    torch.testing.assert_close(found["squares"], F.mse_loss(rival.decoder(z), x))
    torch.testing.assert_close(found["loss"], 0.3 * nll + 0.7 * found["squares"])


def test_features_have_unit_variance_before_the_flow() -> None:
    rival = build(SETTINGS, PreprocessSettings()).train()
    features = 1e-3 * rival.encoder(torch.rand(4, 1, 8, 16, 16))
    unit = rival.unit(features)
    # Were it not so, the likelihood would grow as the features shrink.
    assert 0.5 < unit.std() < 1.1
    assert not list(rival.unit.parameters())


def test_the_score_is_the_weighted_sum_of_standardized_parts(tmp_path: Path) -> None:
    store = one_scan(tmp_path / "store")
    run = fit("ae_flow", SETTINGS, store, tmp_path / "run", steps=40)
    rival = load_folder(run / "fitted").rival
    assert isinstance(rival, AeFlow)
    assert (rival.standard.deviation != 1).all()
    x = torch.rand(1, 1, 8, 16, 16)
    nll, drawn = rival.both(x)
    fine = F.interpolate(nll[:, None], [8, 16, 16], mode="trilinear")
    mean, deviation = rival.standard.mean, rival.standard.deviation
    parts = [
        (part - m) / d
        for part, m, d in zip((fine, (x - drawn).abs()), mean, deviation, strict=True)
    ]
    torch.testing.assert_close(rival.voxels(x), 0.5 * parts[0] + 0.5 * parts[1])
    scan, lump = with_lump(prepared(store))
    scores = scores_of(rival, scan)
    inside = lump & scan.body
    assert scores[inside].mean() > scores[scan.body & ~lump].mean() + 0.5
