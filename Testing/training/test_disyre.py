"""DISYRE: corruptions stay in their shape, severity is what it says, a screening asks at several."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from ctscreener.preprocess import PreprocessSettings
from Testing.training.rivals import LOOP, fit, one_batch, one_scan
from training.baselines.disyre import (
    Disyre,
    DisyreSettings,
    Restoring,
    biased,
    build,
    corrupted,
    matched,
    phases,
    severities,
    spaced,
    with_anomalies,
)
from training.baselines.folder import load_folder
from training.data.chance import Chances, chances_of
from training.data.patches import PatchSettings
from training.data.store import Store

CPU = torch.device("cpu")

SETTINGS = DisyreSettings(
    patches=PatchSettings(size=(8, 16, 16), count=4),
    channels=(8, 16),
    least=3,
    largest=0.6,
    smooth=0.0,
    loop=LOOP,
)
VERSIONS = [SETTINGS, replace(SETTINGS, disentangled=False)]


def settings_for(folder: Path) -> DisyreSettings:
    """Those of the tests of all rivals."""
    return SETTINGS


def untrained(settings: DisyreSettings = SETTINGS) -> Disyre:
    """A rival whose weights are chance."""
    torch.manual_seed(0)
    return build(settings, PreprocessSettings()).eval()


def crop_with_shape() -> tuple[Tensor, Tensor, Tensor]:
    """A crop, a foreign one, and a soft shape in its middle."""
    share = torch.zeros(1, 8, 16, 16)
    share[:, 2:6, 4:12, 4:12] = torch.rand(1, 4, 8, 8).clamp(min=0.1)
    return torch.rand(1, 8, 16, 16), torch.rand(1, 8, 16, 16), share


def test_it_learns_to_restore(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a hundred looks at one batch, less of its corruption is left than a copy would leave."""
    one_batch(monkeypatch)
    store = one_scan(tmp_path / "store", "ab")
    run = fit("disyre", SETTINGS, store, tmp_path / "run", steps=100)
    rival = load_folder(run / "fitted").rival
    assert isinstance(rival, Disyre)
    (phase,) = phases(SETTINGS, rival.eval(), Store(store))
    changed, clean, severity = phase.task.render(phase.task.load(0), CPU)
    with torch.no_grad():
        restored = rival.restored(changed, rival.step_of(severity))
    assert (restored - clean).square().mean() < 0.7 * (changed - clean).square().mean()


@pytest.mark.parametrize("settings", VERSIONS)
def test_corruptions_lie_in_the_body_and_differ_in_severity(settings: DisyreSettings) -> None:
    clean = torch.rand(60, 1, 8, 16, 16)
    body = torch.zeros_like(clean, dtype=torch.bool)
    body[..., 4:, :] = True
    changed, severity = with_anomalies(clean, body, settings, chances_of(0, CPU))
    assert torch.equal(changed[~body], clean[~body])
    touched = (changed != clean).flatten(1).any(dim=1)
    assert touched.float().mean() > 0.9
    # Only a crop whose shape lies outside of the body is as it was, and is said to be.
    assert (severity[~touched] == 0).all()
    assert 0 <= severity.min() < 0.2
    assert 0.9 < severity.max() <= 1
    assert 0 <= changed.min() <= changed.max() <= 1
    again, _ = with_anomalies(clean, body, settings, chances_of(0, CPU))
    assert torch.equal(changed, again)


@pytest.mark.parametrize("settings", VERSIONS)
def test_nothing_changes_outside_of_the_shape(settings: DisyreSettings) -> None:
    image, foreign, share = crop_with_shape()
    for seed in range(10):
        changed, _ = corrupted(image, foreign, share, settings, chances_of(seed, CPU))
        assert torch.equal(changed[share == 0], image[share == 0])
        assert not torch.equal(changed[share > 0], image[share > 0])


def test_the_first_version_mixes_a_foreign_patch_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """x_t = (1 - alpha m) x_0 + alpha m x_fp, and the severity is alpha."""
    image, foreign, share = crop_with_shape()
    monkeypatch.setattr(Chances, "number", lambda self, low=0.0, high=1.0: 0.3)
    changed, severity = corrupted(image, foreign, share, VERSIONS[1], chances_of(0, CPU))
    expected = (1 - 0.3 * share) * image + 0.3 * share * foreign
    torch.testing.assert_close(changed, expected)
    assert float(severity) == pytest.approx(0.3)


@pytest.mark.parametrize("settings", VERSIONS)
def test_a_corruption_of_no_severity_is_the_image(
    settings: DisyreSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    image, foreign, share = crop_with_shape()
    monkeypatch.setattr(Chances, "number", lambda self, low=0.0, high=1.0: 0.0)
    changed, severity = corrupted(image, foreign, share, settings, chances_of(0, CPU))
    assert torch.equal(changed, image)
    assert float(severity) == 0
    assert untrained().step_of(severity[None]).tolist() == [0]


def test_the_severity_is_that_of_texture_or_bias_whichever_is_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    image, share = torch.full((1, 8, 16, 16), 0.5), torch.zeros(1, 8, 16, 16)
    share[:, 2:6, 4:12, 4:12] = 1
    for alpha, shift, expected in ((0.2, 0.4, 0.4), (0.2, -0.1, 0.2), (0.0, -0.9, 0.5)):
        drawn = iter((alpha, shift))
        monkeypatch.setattr(Chances, "number", lambda self, *of, drawn=drawn: next(drawn))
        changed, severity = corrupted(image, image, share, SETTINGS, chances_of(0, CPU))
        assert float(severity) == pytest.approx(expected)
        # Grey values end at 0 and 1.
        torch.testing.assert_close(changed[0, 4, 8, 8], torch.tensor(max(0.0, 0.5 + shift)))


def test_a_matched_texture_has_the_range_of_what_it_replaces() -> None:
    image, foreign, share = crop_with_shape()
    image = 0.2 + 0.3 * image
    inside = share > 0
    found = matched(foreign, image, inside)
    for part in (torch.amin, torch.amax):
        torch.testing.assert_close(part(found[inside]), part(image[inside]))
    # Its own order is kept; a foreign crop without any texture gives none and no NaN.
    assert torch.equal(found[inside].argsort(), foreign[inside].argsort())
    assert matched(torch.full_like(image, 0.7), image, inside)[inside].unique().numel() == 1
    assert matched(foreign, image, torch.zeros_like(inside)).isfinite().all()


def test_a_bias_changes_whole_grey_levels_within_the_shape() -> None:
    """Two slabs of one grey value each: both, or one alone, and as much as the shape fills."""
    image = torch.full((1, 8, 16, 16), 0.3)
    image[:, :, 8:] = 0.7
    share = torch.zeros_like(image)
    share[:, 2:6, 4:12, 4:12] = 0.5
    seen = set()
    for seed in range(40):
        found = biased(image, share, 0.2, 5, chances_of(seed, CPU))
        assert torch.equal(found[share == 0], image[share == 0])
        # Away from the edge between both slabs, where the choice of levels is softened.
        changes = [(found - image)[0, 4, h, 8] for h in (5, 10)]
        for change in changes:
            assert float(change) == pytest.approx(0.1, abs=1e-6) or change == 0
        seen.add(tuple(bool(change) for change in changes))
    assert seen == {(True, True), (True, False), (False, True)}


def test_severities_rise_with_the_steps_and_steps_are_found_again() -> None:
    rise = severities(100)
    assert rise[0] == 0
    left = [(1 - 1e-3 - k * 0.199 / 99) ** 0.5 for k in range(100)]
    assert float(rise[1]) == pytest.approx(math.prod(left), rel=1e-4)
    assert float(rise[100]) == pytest.approx(left[0])
    assert (rise.diff() > 0).all()
    assert torch.equal(untrained().step_of(rise), torch.arange(101))
    nearest = (rise - 0.4).abs().argmin()
    assert untrained().step_of(torch.tensor([0.4])).item() == nearest


def test_the_loss_is_the_squared_error_of_a_restoration_told_its_step() -> None:
    rival = untrained()
    changed, clean = torch.rand(2, 2, 1, 8, 16, 16)
    severity = rival.severities[[10, 90]]
    expected = (rival.restored(changed, torch.tensor([10, 90])) - clean).square().mean()
    torch.testing.assert_close(Restoring(rival)(changed, clean, severity)["loss"], expected)
    assert not torch.equal(
        rival.restored(changed, torch.tensor([10, 90])),
        rival.restored(changed, torch.tensor([90, 10])),
    )


def test_an_ensemble_is_the_mean_of_its_members() -> None:
    rival, x = untrained(), torch.rand(2, 1, 8, 16, 16)
    assert spaced(100, 4) == [100, 75, 50, 25]
    members = [(x - rival.restored(x, torch.full((2,), step))).abs() for step in (100, 75, 50, 25)]
    torch.testing.assert_close(rival.voxels(x), torch.stack(members).mean(dim=0))
    assert not torch.equal(members[0], members[1])


def test_the_first_version_goes_on_from_what_is_left() -> None:
    """What is left of a corruption at the next step is what cold diffusion would put there."""
    rival = untrained(replace(SETTINGS, ensemble=False, looks=3, timesteps=90))
    shown = x = torch.rand(1, 1, 8, 16, 16)
    expected = torch.zeros_like(x)
    for step, after in ((90, 60), (60, 30), (30, 0)):
        restored = rival.restored(shown, torch.tensor([step]))
        expected += (shown - restored).abs() / 3
        now, then = rival.severities[step], rival.severities[after]
        foreign = (shown - (1 - now) * restored) / now
        shown = ((1 - then) * restored + then * foreign).clamp(0, 1)
    torch.testing.assert_close(rival.voxels(x), expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("ensemble", [True, False])
def test_a_scan_that_is_its_own_restoration_scores_nothing(
    ensemble: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    rival, x = untrained(replace(SETTINGS, ensemble=ensemble)), torch.rand(1, 1, 8, 16, 16)
    monkeypatch.setattr(rival.network, "forward", lambda both: both[:, :1])
    assert torch.equal(rival.voxels(x), torch.zeros_like(x))
    monkeypatch.setattr(rival.network, "forward", lambda both: both[:, :1] + 0.1)
    assert float(rival.voxels(x).min()) > 0.09


def test_more_looks_than_steps_are_refused() -> None:
    with pytest.raises(ValueError, match="cannot be looked at"):
        build(replace(SETTINGS, looks=101), PreprocessSettings())
