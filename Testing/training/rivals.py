"""What the tests of all rivals ask: that they learn, that they resume, and that they score."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from sklearn.metrics import roc_auc_score
from torch import Tensor

from ctscreener.encoded import PLAIN
from ctscreener.preprocess import Prepared, PreprocessSettings
from ctscreener.screening import ScreenSettings, score
from ctscreener.settings import to_json
from Testing.training.small_store import SPACING
from training.baselines.folder import load_folder
from training.baselines.method import Phase, Rival, RunSettings, TrainedSettings, WholeScan
from training.baselines.methods import METHODS
from training.baselines.parts.efficientnet import EfficientNetLite0
from training.baselines.parts.map_scorer import MapScorer
from training.baselines.parts.slice_features import FeatureSettings
from training.baselines.stage import main
from training.data.arrays import write_array
from training.data.patches import PatchSource
from training.data.store import Store, StoredScan, write_manifest
from training.loop.loop import seeded
from training.loop.schedule import LoopSettings
from training.loop.session import Session

SHAPE = (16, 30, 30)
LOOP = LoopSettings(
    steps=60,
    lr=5e-3,
    warmup=3,
    precision="32-true",
    device="cpu",
    average=0.8,
    log_every=1,
    weight_decay=0.0,
)


def one_scan(folder: Path, names: str = "a", plain: bool = False) -> Path:
    """Write a store of small scans of smooth waves, as easy to learn as a scan can be.

    Arguments:
        folder: Where to.
        names: A letter for each scan.
        plain: In HU.
    """
    folder.mkdir()
    scans = []
    for seed, name in enumerate(names):
        d, h, w = np.indices(SHAPE)
        waves = np.sin(d / 4 + seed) + np.sin(h / 5) * np.cos(w / 6)
        image = np.rint(127 + 60 * waves).clip(0, 255).astype(np.uint8)
        if plain:
            image = np.rint(200 * waves).astype(np.int16)
        body = np.zeros(SHAPE, dtype=np.uint8)
        body[2:-2, 3:-3, 3:-3] = 1
        write_array(folder / f"{name}.image.b2nd", image)
        write_array(folder / f"{name}.body.b2nd", body)
        scans.append(StoredScan(name, SHAPE, SPACING, f"/scans/{name}.nii.gz", f"{seed:064x}"))
    write_manifest(folder, to_json(PLAIN if plain else PreprocessSettings()), scans, [])
    return folder


def random_features(folder: Path) -> FeatureSettings:
    """Weights of a network for photographs that has seen none, in a file."""
    path = folder / "features.safetensors"
    if not path.exists():
        with seeded(3):
            network = EfficientNetLite0()
        save_file(network.state_dict(), path)
    return FeatureSettings(path, groups=(1, 2), zoom=1)


def fit(name: str, settings: TrainedSettings, store: Path, run: Path, **loop: float) -> Path:
    """Train a rival; gives its run folder."""
    changed = replace(settings.loop, **loop)  # pyright: ignore[reportArgumentType]
    assert main(name, replace(settings, data=RunSettings(store, run), loop=changed))
    return run


def one_batch(patch: pytest.MonkeyPatch) -> None:
    """Let every step see the first batch again, which any sound training learns by heart."""
    load = PatchSource.load
    patch.setattr(PatchSource, "load", lambda self, index: load(self, 0))


def losses(run: Path, phase: str, name: str = "loss") -> np.ndarray:
    """A metric at every step, where it was measured."""
    rows = [json.loads(line) for line in (run / phase / "metrics.jsonl").open()]
    return np.array([row[name] for row in rows if name in row])


def weights(run: Path) -> dict[str, Tensor]:
    """The fitted weights of a run."""
    return load_folder(run / "fitted").rival.state_dict()


def killed_fit(
    name: str, settings: TrainedSettings, store: Path, run: Path, patch: pytest.MonkeyPatch
) -> Path:
    """Train as in the run `whole` beside it, but with a death in the middle of the last phase."""
    counts = [
        len(losses(run.parent / "whole", phase)) for phase in phases_of(run.parent / "whole")
    ]
    left, step = [sum(counts) - (counts[-1] + 1) // 2], Session.step

    def dies(self: Session, *given: object) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise RuntimeError("killed")
        step(self, *given)  # pyright: ignore[reportArgumentType]

    with patch.context() as short:
        short.setattr(Session, "step", dies)
        with pytest.raises(RuntimeError, match="killed"):
            fit(name, settings, store, run)
    assert not (run / "fitted").exists()
    # Chance of the process itself decides nothing.
    torch.manual_seed(99)
    return fit(name, settings, store, run)


def phases_of(run: Path) -> list[str]:
    """The phases of a run, in the order of their training."""
    told = sorted(run.glob("*/metrics.jsonl"), key=lambda path: path.stat().st_mtime_ns)
    return [path.parent.name for path in told]


def prepared(store: Path, name: str = "a") -> Prepared:
    """A scan of a store."""
    return Store(store).prepared(name)


def scores_of(rival: Rival | Path, scan: Prepared) -> np.ndarray:
    """Scores of a scan on the pooled grid, by a rival or by the one that a run left."""
    if isinstance(rival, Path):
        rival = load_folder(rival / "fitted").rival
    assert not isinstance(rival, WholeScan)
    settings = ScreenSettings(reduced=False)
    return score(scan, rival, settings, torch.device("cpu")).scores


def marks(phase: Phase, rival: MapScorer) -> float:
    """AUROC of a rival's scores against the anomalies of the first batch."""
    changed, *_, mask = phase.task.render(phase.task.load(0), torch.device("cpu"))
    with torch.no_grad():
        scores = rival.eval().voxels(changed)
    return float(roc_auc_score(mask.flatten(), scores.flatten()))


def with_lump(scan: Prepared, grey: int = 255) -> tuple[Prepared, np.ndarray]:
    """The same scan with a ball of another grey value, and where it is."""
    at = np.indices(scan.shape) - np.array(scan.shape).reshape(3, 1, 1, 1) // 2
    lump = (at**2).sum(axis=0) <= 16
    image = scan.image.copy()
    image[lump] = grey
    return replace(scan, image=image), lump


def finds_a_lump(
    name: str, settings: TrainedSettings, folder: Path, steps: int, falls_to: float, times: float
) -> None:
    """Assert that a rival learns a scan, scores its body alone, and that a lump stands out.

    Arguments:
        name: The rival, and its only phase.
        settings: Those of the test.
        folder: For store and run.
        steps: Of training.
        falls_to: Share of its first value that the loss has to fall below.
        times: How often the median score of the body that of the lump has to be.
    """
    store = one_scan(folder / "store")
    run = fit(name, settings, store, folder / "run", steps=steps)
    found = losses(run, name)
    assert found[-10:].mean() < falls_to * found[:5].mean()
    scan, lump = with_lump(prepared(store))
    scores = scores_of(run, scan)
    np.testing.assert_array_equal(np.isfinite(scores), scan.body)
    assert np.median(scores[lump & scan.body]) > times * np.median(scores[scan.body])


def learns_to_mark(
    name: str, settings: TrainedSettings, folder: Path, falls: dict[str, float]
) -> Rival:
    """Assert that a rival learns one batch by heart, marks its anomalies, and scores the body alone.

    Arguments:
        name: The rival.
        settings: Those of the test; every step has to see the same batch, see `one_batch`.
        folder: For store and run.
        falls: For each loss the share of its first value that it has to fall below, by the name of
            the loss behind that of its phase: `draem.focal`.

    Returns:
        What was trained.
    """
    store = one_scan(folder / "store", "ab")
    run = fit(name, settings, store, folder / "run", steps=80)
    for loss, share in falls.items():
        found = losses(run, *loss.split("."))
        assert found[-10:].mean() < share * found[:5].mean(), loss
    scan, rival = prepared(store), load_folder(run / "fitted").rival
    assert isinstance(rival, MapScorer)
    np.testing.assert_array_equal(np.isfinite(scores_of(rival, scan)), scan.body)
    (phase,) = METHODS[name].phases(settings, rival, Store(store))
    assert marks(phase, rival) > 0.8
    return rival
