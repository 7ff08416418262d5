"""The density is trained on what a screening computes, and export hands on just that."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ctscreener.density import DensitySettings as HeadSettings
from ctscreener.density import rows
from ctscreener.errors import InputError
from ctscreener.flow import FlowSettings
from ctscreener.model import Networks, load_model
from ctscreener.networks import NetworkSettings
from ctscreener.preprocess import Prepared
from ctscreener.scorer import Scored
from ctscreener.screening import ScreenSettings, score
from ctscreener.tiled import smoothed
from Testing.training.small_store import make_store
from training import condition, density, descriptor, export, reference
from training.data.arrays import write_array
from training.data.cache import Cache, describe, draw, draw_box, on_device, pick
from training.data.crops import CropSettings
from training.data.store import Store
from training.density import DensityStageSettings
from training.descriptor import ContrastSettings, DescriptorSettings
from training.likelihood import standardize
from training.loop.schedule import LoopSettings

TILE = (16, 24, 24)
LOOP = LoopSettings(steps=3, lr=1e-3, warmup=1, precision="32-true", device="cpu")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with runs of a descriptor and of a condition."""
    folder = tmp_path_factory.mktemp("density")
    make_store(folder / "store", {"a": (24, 36, 36), "b": (20, 30, 33), "c": (18, 36, 30)})
    crops = CropSettings(size=TILE, pairs=2, positions=32)
    contrast = ContrastSettings(objective="simclr", width=16, projected=8)
    shared = {"store": folder / "store", "crops": crops, "contrast": contrast, "loop": LOOP}
    sizes = NetworkSettings(channels=(8, 16), out=4)
    descriptor.main(DescriptorSettings(run=folder / "descriptor", network=sizes, **shared))
    masked = NetworkSettings(channels=(8,), stem=(2, 3, 3), out=3, inputs=2)
    condition.main(
        condition.ConditionStageSettings(run=folder / "condition", network=masked, **shared)
    )
    return folder


def settings_for(runs: Path, name: str, head: str) -> DensityStageSettings:
    """A short density training on the runs of the fixture."""
    return DensityStageSettings(
        store=runs / "store",
        run=runs / name,
        descriptor=runs / "descriptor",
        condition=runs / "condition",
        sincos=1,
        head=HeadSettings(head=head, flow=FlowSettings(blocks=2, hidden=8), hidden=8),  # pyright: ignore[reportArgumentType]
        held_out=("c",),
        tile=TILE,
        tiles=6,
        block=(4, 4, 4),
        voxels=128,
        loop=replace(LOOP, steps=80, lr=5e-3, log_every=1),
    )


@pytest.mark.parametrize("head", ["gaussian", "flow"])
def test_the_nll_falls_and_the_exported_model_scores_with_it(
    runs: Path, head: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_for(runs, head, head)
    trained = density.main(settings)
    losses = [json.loads(line)["loss"] for line in (settings.run / "metrics.jsonl").open()]
    assert trained.finished
    # Called again it has nothing to do, and needs no scan for it.
    monkeypatch.setattr(density, "describe", pytest.fail)
    again = density.main(settings)
    assert (again.step, again.finished) == (trained.step, True)
    assert all(torch.equal(again.weights[name], value) for name, value in trained.weights.items())
    assert np.mean(losses[-20:]) < np.mean(losses[:5])
    out = runs / f"model_{head}"
    export.main(export.ExportSettings(settings.store, settings.run, out, reference=("a", "b")))
    model = load_model(str(out))
    assert model.settings.condition.channels(5) == 6 + 3
    assert "| density | 80 |" in model.card
    assert [scan["name"] for scan in model.provenance["reference"]] == ["a", "b"]
    prepared = Store(settings.store).prepared("a")
    nll = score(prepared, model.networks, ScreenSettings(), torch.device("cpu")).scores
    rarity = model.calibration.rarity(nll[np.isfinite(nll)])
    # The scan is half of the reference: about a tenth of its voxels are rarer than 1.
    assert 0.02 < (rarity > 1).mean() < 0.3


def test_rarities_keep_their_promise_where_tiles_do_not_overlap(runs: Path) -> None:
    settings = settings_for(runs, "apart", "gaussian")
    density.main(settings)
    out, large = runs / "model_apart", runs / "large_store"
    # In a scan of two tiles an axis they overlap, whatever is asked for.
    make_store(large, {"d": (40, 60, 60), "e": (40, 72, 48)})
    export.main(export.ExportSettings(large, settings.run, out))
    model, store = load_model(str(out)), Store(large)
    for overlap in (0.0, 0.5):
        how = ScreenSettings(overlap=overlap)
        scores = [
            score(store.prepared(name), model.networks, how, torch.device("cpu")).scores
            for name in store.names
        ]
        nll = np.concatenate([each[np.isfinite(each)] for each in scores])
        rarity = model.scale(overlap).rarity(nll)
        assert (rarity >= 1).mean() == pytest.approx(0.1, rel=0.1)
    assert model.calibration_fast
    assert model.calibration_fast.voxels == model.calibration.voxels
    assert model.calibration_fast.knots_nll != model.calibration.knots_nll


def test_a_second_export_scores_only_what_has_changed(
    runs: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings = settings_for(runs, "twice", "gaussian")
    density.main(settings)
    store = Path(shutil.copytree(settings.store, tmp_path / "store"))
    asked = export.ExportSettings(store, settings.run, tmp_path / "model")
    scored: list[tuple[tuple[int, ...], float]] = []
    real = reference.score

    def watched(prepared: Prepared, networks: Networks, how: ScreenSettings, *more: Any) -> Scored:  # noqa: ANN401
        scored.append((prepared.shape, how.overlap))
        return real(prepared, networks, how, *more)

    monkeypatch.setattr(reference, "score", watched)
    export.main(asked)
    first = load_model(str(asked.out))
    assert len(scored) == 2 * 3
    del scored[:]
    export.main(asked)
    again = load_model(str(asked.out))
    assert not scored
    assert (again.calibration, again.calibration_fast) == (
        first.calibration,
        first.calibration_fast,
    )
    # A body that was prepared otherwise, a file that is damaged, another blur.
    body = Store(store).prepared("b").body.astype(np.uint8)
    body[:4] = 0
    write_array(store / "b.body.b2nd", body)
    (kept,) = (settings.run / "reference").glob("*/c-0.npz")
    kept.write_bytes(kept.read_bytes()[:100])
    export.main(asked)
    assert sorted(overlap for _, overlap in scored) == [0.0, 0.0, 0.5]
    del scored[:]
    export.main(replace(asked, smooth=5.0))
    assert len(scored) == 2 * 3


def test_the_calibration_is_that_of_the_stored_weights(runs: Path) -> None:
    settings = settings_for(runs, "stored", "gaussian")
    density.main(settings)
    out = runs / "model_stored"
    export.main(export.ExportSettings(settings.store, settings.run, out))
    used, kept = load_model(str(out)).networks, export.load_networks(settings.run)
    for name, tensor in kept.state_dict().items():
        assert torch.equal(used.state_dict()[name], tensor), name


def test_rarity_refers_to_scans_that_the_density_did_not_see_and_the_card_says_so(
    runs: Path,
) -> None:
    settings = settings_for(runs, "left_out", "gaussian")
    density.main(settings)
    asked = export.ExportSettings(settings.store, settings.run, runs / "model_left", left_out=True)
    export.main(asked)
    model = load_model(str(asked.out))
    assert [scan["name"] for scan in model.provenance["reference"]] == ["c"]
    assert (
        "What scores was trained on none of these; other networks were: descriptor 1" in model.card
    )
    assert "## False findings a scan\n\nNot measured." in model.card
    export.main(replace(asked, left_out=False))
    assert "Trained on these as well: descriptor 3, condition 3, density 2" in (
        load_model(str(asked.out)).card
    )
    with pytest.raises(InputError) as error:
        export.main(replace(asked, reference=("a", "b")))
    assert error.value.code == "export.reference"
    # Unchanged by what was refused.
    assert len(load_model(str(asked.out)).provenance["reference"]) == 3


def test_the_card_tells_results_of_this_model_from_those_of_another(
    runs: Path, tmp_path: Path
) -> None:
    settings = settings_for(runs, "measured", "gaussian")
    density.main(settings)
    asked = export.ExportSettings(settings.store, settings.run, tmp_path / "mine")
    export.main(asked)
    levels = [
        {"rarity": r, "promised": 10.0**-r, "share": {"value": 0.02, "low": None, "high": None}}
        for r in (1, 2, 3, 4)
    ]
    part = {"set": "left", "scans": 4, "patients": 4, "levels": levels, "seen": None}
    paths = []
    for name, sha256 in (("mine", load_model(str(asked.out)).sha256), ("twin", "f" * 64)):
        given = {"name": name, "weights_sha256": sha256}
        paths.append(tmp_path / f"{name}.json")
        rarities = [part] if name == "twin" else []
        text = {
            "model": given,
            "table": f"| model |\n|---|\n| {name} |\n",
            "rarities": rarities,
            "more": 1,
        }
        text["parameters"] = {"overlap": 0.5}
        paths[-1].write_text(json.dumps(text))
    export.main(replace(asked, results=tuple(paths)))
    model = load_model(str(asked.out))
    mine, twin, false = model.card.split("## Measured")[1:] + [model.card.split("## False ")[1]]
    assert "another model" not in mine
    assert "Of `twin`, **another model** (weights ffffffffffff)" in twin
    assert "Of `twin`, **another model**" in false
    assert "| twin | left | 4, 4 | 3 | .1% | 2% |" in " ".join(false.split())
    assert [sorted(one) for one in model.provenance["results"]] == [
        ["model", "parameters", "rarities", "table"]
    ] * 2
    paths[0].write_text("{}")
    with pytest.raises(InputError) as error:
        export.main(replace(asked, results=tuple(paths)))
    assert error.value.code == "export.results"


def test_an_unfinished_run_is_not_exported(runs: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Expected a finished run of the stage `density`"):
        export.main(export.ExportSettings(runs / "store", tmp_path))


def test_standardized_descriptors_have_mean_zero_and_deviation_one(runs: Path) -> None:
    settings = settings_for(runs, "unused", "gaussian")
    store = Store(settings.store)
    networks = density.assemble(settings, density.plan(settings, density.PreprocessSettings()))
    cache = describe(networks, store, [2, 2, 2], np.random.default_rng(0))
    standardize(networks, cache)
    y = networks.density.standardize_y(cache.y.float()).movedim(1, -1)[cache.where]
    torch.testing.assert_close(y.mean(0), torch.zeros(4), atol=1e-3, rtol=0)
    torch.testing.assert_close(y.std(0), torch.ones(4), atol=1e-2, rtol=0)


def test_a_step_draws_body_voxels_and_is_a_function_of_its_seed() -> None:
    rng = np.random.default_rng(0)
    where = torch.from_numpy(rng.random((3, 8, 8, 8)) < 0.2)
    numbers = torch.arange(3 * 512).reshape(3, 1, 8, 8, 8).half()
    cache = Cache(numbers, numbers[:, :0], where)
    one, two = (draw(np.random.default_rng(7), cache, 5, (4, 4, 4), 20) for _ in "ab")
    assert (one.places, one.seed) == (two.places, two.seed)
    np.testing.assert_array_equal(one.numbers, two.numbers)
    assert np.bincount(one.numbers // 64).max() <= 4
    y, _, kept = on_device(one.parcel(cache), cache, torch.device("cpu"))
    # Each voxel holds its own number: those that are scored lie in the body.
    chosen = rows(y, kept)[:, 0].long()
    assert where.flatten()[chosen].all()
    mask = torch.zeros(5 * 64, dtype=torch.bool)
    mask[kept] = True
    assert torch.equal(rows(y, mask.reshape(5, 4, 4, 4)), rows(y, kept))


def test_no_more_tiles_are_described_than_blocks_are_drawn() -> None:
    settings = DensityStageSettings(tiles=512, per_step=4, loop=LOOP)
    assert density.described(settings) == 12
    assert density.described(replace(settings, tiles=7)) == 7


def test_boxes_lie_inside_and_picks_inside_the_mask() -> None:
    rng = np.random.default_rng(1)
    for _ in range(50):
        box = draw_box(rng, torch.Size((5, 6, 7)), (3, 9, 2))
        assert [side.stop - side.start for side in box] == [3, 6, 2]
        assert all(
            side.start >= 0 and side.stop <= n for side, n in zip(box, (5, 6, 7), strict=True)
        )
    mask = torch.from_numpy(rng.random((4, 5, 6)) < 0.5)
    picked = pick(rng, mask, 9)
    assert mask.flatten()[picked].all()
    assert len(set(picked.tolist())) == 9
    assert list(picked) == sorted(picked)


def test_blurred_scores_keep_constants_and_do_not_leak_in_from_outside() -> None:
    nll = np.full((6, 7, 8), np.nan, np.float32)
    nll[1:5, 1:6, 1:7] = 3.0
    blurred = smoothed(nll, np.array([1.0, 2.0, 1.5]))
    np.testing.assert_array_equal(np.isnan(blurred), np.isnan(nll))
    np.testing.assert_allclose(blurred[np.isfinite(nll)], 3.0, rtol=1e-6)
    nll[3, 3, 3] = 9.0
    again = smoothed(nll, np.array([1.0, 1.0, 1.0]))
    assert 3.0 < again[3, 3, 3] < 9.0
    assert np.array_equal(smoothed(nll, np.zeros(3)), nll, equal_nan=True)
