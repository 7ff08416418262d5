"""The stage that calibrates a trained model and writes the folder that `ctscreener` uses."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from safetensors.torch import load_file

from ctscreener.calibration import Calibration
from ctscreener.errors import InputError
from ctscreener.model import Distilled, ModelSettings, Networks, Scorer, half, save_model
from ctscreener.model_writing import packed
from ctscreener.screening import ScreenSettings
from ctscreener.settings import from_json, read_json
from ctscreener.version import VERSION
from training.card import write_card
from training.data.store import Store
from training.density import DensityStageSettings, assemble
from training.distil import scorer_of
from training.fold_model import Fold
from training.reference import ordinary, reference_nll
from training.trace import measured, trace_distilled, trace_stage, trace_three, without_paths
from training.whole_model import check_whole, left_out_reference, load_encoded, tuned_encoder

AnyScorer = TypeVar("AnyScorer", bound=Scorer)


@dataclass(frozen=True)
class ExportSettings:
    """Calibrate a model on reference scans and write its folder."""

    store: Path = Path("store")
    """Folder that the stage `prepare` wrote."""
    density: Path = Path("runs/density")
    """Run folder of the density; it names those of the descriptor and the condition."""
    out: Path = Path("model")
    """The model folder to write; its name is the model's name."""
    reference: tuple[str, ...] = ("*",)
    """Names of the scans that rarity refers to; `*` stands for any text."""
    left_out: bool = False
    """Take those of them alone that the density was not trained on, as by its `--held-out`:
    where it was trained, a density finds little rare, and rarities promise too much elsewhere."""
    odd: float = 5.0
    """A reference scan that holds more than so many times its share of the rarest thousandth is
    left out: it would hide what is rare in all others."""
    smooth: float = 0.0
    """Standard deviation in mm of the Gaussian that the scores are blurred with."""
    results: tuple[Path, ...] = ()
    """Files `results.json` of the stage `evaluate`, for the card: of this model, and of one
    that was made without the scans it was measured on."""
    notes: Path | None = None
    """Markdown for the card: what is known of this model that no number says."""
    screen: ScreenSettings = field(default_factory=ScreenSettings)
    """How the reference scans are screened."""
    discriminator: Path | None = None
    """Run folder of the stage `discriminator`: a whole-volume model is exported, calibrated on
    scans that none of its networks had seen."""
    weights: tuple[float, float] = (1.0, 0.05)
    """How much the discriminator and the density of such a model count."""
    fold: int | None = None
    """Export what was trained without this group of patients, 0 or more, to measure it on their
    scans (`folds.json` of the run tells which); the model of all groups without it."""
    distilled: Path | None = None
    """Run folder of the stage `distil`: its student is exported in place of condition and
    density."""


def main(settings: ExportSettings) -> None:
    """Write the model folder.

    Arguments:
        settings: All settings.

    Raises:
        InputError: A run folder or the store does not fit, or no scan is left to calibrate on.
    """
    if settings.discriminator:
        export_whole(settings, settings.discriminator)
        return
    if settings.fold is not None:
        raise InputError(
            "export.fold",
            f"Expected --discriminator beside --fold {settings.fold}, found none.",
            "Name the run whose groups of patients are meant, or leave out --fold.",
        )
    networks = load_scorer(settings)
    store = reference_scans(settings)
    sha256 = hashlib.sha256(packed(networks)).hexdigest()
    keep = (settings.distilled or settings.density) / "reference" / sha256[:16]
    nll = reference_nll(networks, store, settings.screen, keep)
    kept = ordinary(nll, settings.odd)
    apart = nll
    if settings.screen.overlap:
        apart = reference_nll(networks, store, replace(settings.screen, overlap=0.0), keep)
    standard, fast = (
        Calibration.fit(np.concatenate([scores[name] for name in kept])) for scores in (nll, apart)
    )
    provenance = trace(settings, store, kept)
    card = write_card(settings.out.name, networks.settings, provenance, settings.notes, sha256)
    save_model(settings.out, networks, standard, provenance, card, fast)
    odd = ", ".join(sorted(set(nll) - set(kept))) or "none"
    print(f"export: wrote {settings.out}, calibrated on {len(kept)} scans; left out as odd: {odd}")


def export_whole(settings: ExportSettings, run: Path) -> None:
    """Write the folder of a whole-volume model; it has one speed."""
    check_whole(run)
    fold = None if settings.fold is None else Fold.of(run, settings.fold)
    networks = as_stored(load_encoded(run, settings.weights, fold))
    scores = left_out_reference(run, networks.settings, fold)
    kept = ordinary(scores, settings.odd)
    scale = Calibration.fit(np.concatenate([scores[name] for name in kept]))
    facts = trace_stage(run)
    scans = [scan for scan in facts["data"] if scan["name"] in scores]
    tuned = tuned_encoder(run)
    # `encoder` and not `--tune`: the public one is no stage of ours.
    first = {"encoder": tuned | {"settings": without_paths(tuned["settings"])}} if tuned else {}
    provenance = {
        "software": {"name": "ctscreener", "version": VERSION, "torch": torch.__version__},
        "stages": {**first, "discriminator": fold.trace(facts) if fold else facts},
        **({"fold": fold.told()} if fold else {}),
        "reference": [scan for scan in scans if scan["name"] in kept],
        "odd": [scan["name"] for scan in scans if scan["name"] not in kept],
        "left_out": True,
        "results": [measured(path) for path in settings.results],
    }
    sha256 = hashlib.sha256(packed(networks)).hexdigest()
    card = write_card(settings.out.name, networks.settings, provenance, settings.notes, sha256)
    save_model(settings.out, networks, scale, provenance, card)
    odd = ", ".join(sorted(set(scores) - set(kept))) or "none"
    print(f"export: wrote {settings.out}, calibrated on {len(kept)} scans; left out as odd: {odd}")


def load_scorer(settings: ExportSettings) -> Scorer:
    """Build what is exported, with its weights as they will be stored."""
    if settings.distilled:
        return load_distilled(settings.distilled, settings.smooth)
    return load_networks(settings.density, settings.smooth)


def load_distilled(run: Path, smooth: float = 0.0) -> Distilled:
    """Build the model of a finished distillation, with its weights as they will be stored.

    Arguments:
        run: Run folder of the stage `distil`.
        smooth: Standard deviation in mm of a further blur: it has learnt its teacher's.

    Raises:
        InputError: `export.unfinished`.
    """
    check_finished(run / "student.safetensors", "distil", "--distilled")
    scorer = scorer_of(run)
    scorer.settings = replace(scorer.settings, smooth=smooth)
    return as_stored(scorer)


def load_networks(run: Path, smooth: float = 0.0) -> Networks:
    """Build the model of a finished density run, with its weights as they will be stored.

    Arguments:
        run: Run folder of the density.
        smooth: Standard deviation in mm of the blur of the scores.

    Raises:
        InputError: `export.unfinished`.
    """
    check_finished(run / "density.safetensors", "density", "--density")
    density = from_json(DensityStageSettings, read_json(run / "settings.json"))
    model = from_json(ModelSettings, read_json(run / "model.json"))
    networks = assemble(density, replace(model, smooth=smooth))
    networks.density.load_state_dict(load_file(run / "density.safetensors"))
    return as_stored(networks)


def check_finished(weights: Path, stage: str, flag: str) -> None:
    """Refuse a run without the weights that its stage ends with.

    Raises:
        InputError: `export.unfinished`.
    """
    if not weights.is_file():
        raise InputError(
            "export.unfinished",
            f"Expected a finished run of the stage `{stage}` in {weights.parent}, found none.",
            f"Run `training/run.py {stage}` first, or check {flag}.",
        )


def as_stored(scorer: AnyScorer) -> AnyScorer:
    """Calibrated and used must be the same numbers: those that half precision leaves."""
    # An encoder whose weights lie elsewhere is not stored, and already rounded.
    stored = {name: value.float() for name, value in half(scorer).items()}
    scorer.load_state_dict(scorer.state_dict() | stored)
    return scorer.eval().requires_grad_(False)


def reference_scans(settings: ExportSettings) -> Store:
    """The scans that rarity refers to.

    Raises:
        InputError: `store.empty`, or `export.reference` where the last stage was trained on all.
    """
    every = Store(settings.store)
    store = every.alone(matching(every.names, settings.reference))
    if not settings.left_out:
        return store
    run = settings.distilled or settings.density
    trained = {scan["sha256"] for scan in read_json(run / "data.json")["scans"]}
    left = [name for name, scan in store.scans.items() if scan.sha256 not in trained]
    if not left:
        raise InputError(
            "export.reference",
            f"Expected scans to calibrate on that the density was not trained on, found that it "
            f"saw all {len(store.names)}.",
            "Train it with --held-out, give a --store that holds others, or leave out --left-out.",
        )
    return store.alone(left)


def matching(names: Sequence[str], patterns: Sequence[str]) -> list[str]:
    """Names that match a pattern."""
    return [name for name in names if any(fnmatch(name, pattern) for pattern in patterns)]


def trace(settings: ExportSettings, store: Store, kept: list[str]) -> dict[str, Any]:
    """Say how the model was made: settings, data with hashes, steps, hours, measured results."""
    reference = store.provenance()["scans"]
    made = (
        trace_distilled(settings.distilled)
        if settings.distilled
        else trace_three(settings.density)
    )
    return {
        "software": {"name": "ctscreener", "version": VERSION, "torch": torch.__version__},
        **made,
        "reference": [scan for scan in reference if scan["name"] in kept],
        "odd": [scan["name"] for scan in reference if scan["name"] not in kept],
        "results": [measured(path) for path in settings.results],
    }
