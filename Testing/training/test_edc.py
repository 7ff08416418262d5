"""EDC: no gradient into what is restored, a slow encoder, and a loss of whole maps."""

from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F

from ctscreener.preprocess import PreprocessSettings
from Testing.training.rivals import LOOP, fit, one_scan, random_features, weights
from training.baselines.edc import Contrast, EdcSettings, both_sides, build, phases
from training.baselines.parts.reverse import cosine_maps, whole_cosine
from training.data.patches import PatchSettings
from training.data.store import Store
from training.loop.session import by_share

CPU = torch.device("cpu")


def settings_for(folder: Path) -> EdcSettings:
    """A small one."""
    return EdcSettings(
        features=random_features(folder),
        patches=PatchSettings(size=(2, 24, 24), count=2),
        width=16,
        smooth=0.0,
        loop=LOOP,
    )


def test_the_loss_is_the_cosine_of_whole_maps_and_stops_at_what_is_restored(
    tmp_path: Path,
) -> None:
    settings = settings_for(tmp_path)
    rival = build(settings, PreprocessSettings())
    phase = next(phases(settings, rival, Store(one_scan(tmp_path / "store"))))
    objective = phase.task.objective
    assert isinstance(objective, Contrast)
    (pictures,) = phase.task.render(phase.task.load(0), CPU)
    found = objective.eval()(pictures)["loss"]
    encoder, decoder = rival.describe.network, rival.decoder
    maps, restored = both_sides(encoder, decoder, (1, 2), pictures)
    expected = sum(
        (1 - F.cosine_similarity(a.flatten(1), b.flatten(1))).mean()
        for a, b in zip(maps, restored, strict=True)
    )
    torch.testing.assert_close(found, expected)
    found.backward()
    still = [level.detach() for level in maps]
    weight = encoder.conv_stem.weight
    assert weight.grad is not None
    (through,) = torch.autograd.grad(whole_cosine(restored, still), weight, retain_graph=True)
    (all_ways,) = torch.autograd.grad(whole_cosine(restored, maps), weight)
    torch.testing.assert_close(weight.grad, through)
    assert not torch.allclose(weight.grad, all_ways, rtol=1e-2)


def test_the_encoder_learns_at_a_tenth_of_the_rate_or_not_at_all(tmp_path: Path) -> None:
    settings = settings_for(tmp_path)
    rival = build(settings, PreprocessSettings())
    store = one_scan(tmp_path / "store")
    phase = next(phases(settings, rival, Store(store)))
    groups = by_share(phase.task.objective, phase.task.shares)
    assert set(groups) == {1.0, 0.1}
    known = {id(weight) for weight in rival.decoder.parameters()}
    assert {id(weight) for weight in groups[1.0]} == known
    frozen = replace(settings, encoder_share=0.0)
    run = fit("edc", frozen, store, tmp_path / "run", steps=3)
    rival.describe.load(settings.features)
    for name, value in rival.describe.state_dict().items():
        assert torch.equal(weights(run)[f"describe.{name}"], value)
    moved = fit("edc", settings, store, tmp_path / "moved", steps=3)
    names = ("network.conv_stem.weight", "network.bn0.running_mean")
    for name in names:
        assert not torch.equal(
            weights(moved)[f"describe.{name}"], rival.describe.state_dict()[name]
        )


def test_the_score_is_the_mean_cosine_distance_of_the_stages() -> None:
    first = [torch.randn(2, 5, 4, 4), torch.randn(2, 7, 2, 2)]
    second = [level + 0.1 * torch.randn_like(level) for level in first]
    inside = torch.ones(1, 2, 4, 4, dtype=torch.bool)
    inside[0, 0, 0, 0] = False
    found = cosine_maps(first, second, 1, inside)
    parts = [1 - F.cosine_similarity(a, b) for a, b in zip(first, second, strict=True)]
    coarse = F.interpolate(parts[1][:, None], [4, 4], mode="bilinear")[:, 0]
    expected = torch.where(inside[0], (parts[0] + coarse) / 2, torch.nan)
    torch.testing.assert_close(found[0], expected, equal_nan=True, rtol=1e-4, atol=1e-6)
