"""From a finished run of the stage `discriminator` to what `export` writes."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.torch import load_file

from ctscreener.encoded import Encoded, EncodedSettings
from ctscreener.errors import InputError
from ctscreener.heads import Source
from ctscreener.settings import from_json, read_json
from training.encoder import load_encoder
from training.evaluation.array_cache import load_any
from training.fold_model import Fold, narrowed
from training.left_out import scales_of


def check_whole(run: Path) -> None:
    """Refuse a run folder in which the stage `discriminator` did not come to its end.

    Raises:
        InputError: `export.unfinished`.
    """
    if not (run / "result.json").is_file():
        raise InputError(
            "export.unfinished",
            f"Expected a finished run of the stage `discriminator` in {run}, found none.",
            "Run `training/run.py discriminator` first, or check --discriminator.",
        )


def load_encoded(run: Path, weights: tuple[float, float], fold: Fold | None = None) -> Encoded:
    """Build the model of a finished run.

    Arguments:
        run: Run folder of the stage `discriminator`.
        weights: How much the discriminator and the density count, each of unit deviation.
        fold: The one whose networks are meant; None for all networks.

    Raises:
        InputError: `export.unfinished` or `export.encoder`.
    """
    check_whole(run)
    heads = load_file(fold.path if fold else run / "heads.safetensors")
    settings = from_json(EncodedSettings, read_json(run / "model.json"))
    if fold:
        scales = scales_of(_scores(run, name) for name in fold.trained)
        settings = narrowed(settings, len(heads["discriminator.out"]), scales)
    settings = replace(
        settings,
        discriminator_part=replace(settings.discriminator_part, weight=weights[0]),
        density_part=replace(settings.density_part, weight=weights[1]),
    )
    encoder, about = load_encoder(Path(read_json(run / "settings.json")["encoder"]))
    if about.sha256 != _noted(run).get("sha256", about.sha256):
        raise InputError(
            "export.encoder",
            f"Expected the encoder that {run} was trained on, found another in its folder.",
            "Run `training/run.py discriminator` again, or bring the encoder back.",
        )
    model = Encoded(settings)
    state = {f"encoder.{name}": tensor for name, tensor in encoder.state_dict().items()}
    model.load_state_dict(state | heads)
    return model


def left_out_reference(
    run: Path, settings: EncodedSettings, fold: Fold | None = None
) -> dict[str, np.ndarray]:
    """Scores of the body's voxels of each scan, by networks not trained on its patient.

    Arguments:
        run: Run folder of the stage `discriminator`.
        settings: How the parts are summed.
        fold: The one whose scans are left out; None for all scans.

    Returns:
        For each scan `(P,)`, float32.
    """
    found = {}
    for name in fold.trained if fold else sorted(read_json(run / "folds.json")):
        arrays = _scores(run, name)
        total = np.zeros(len(arrays["discriminator"]), np.float32)
        for part, values in (
            (settings.discriminator_part, arrays["discriminator"]),
            (settings.density_part, arrays["density"]),
        ):
            total += part.weight * (values - part.centre) / part.scale
        found[name] = total
    return found


def _scores(run: Path, name: str) -> dict[str, np.ndarray]:
    """Both scores of a scan that was left out."""
    return load_any(run / "left_out" / f"{name}.npz")


def tuned_encoder(run: Path) -> dict[str, Any] | None:
    """How the encoder of a finished run was trained on, see `training.tune`; None where it was not.

    Arguments:
        run: Run folder of the stage `discriminator`.
    """
    return _noted(run).get("tuned")


def _noted(run: Path) -> dict[str, Any]:
    """What a run says of its encoder; of one from before that was noted, nothing is known."""
    path = run / "encoder.json"
    return read_json(path) if path.exists() else {}


def tuned_text(tuned: Mapping[str, Any]) -> str:
    """A paragraph of the card that says that the encoder is none of others, or no longer."""
    settings, result, start = tuned["settings"], tuned["result"], tuned["start"]
    kinds = {"simclr": "dense SimCLR", "vicreg": "dense VICReg"}
    began = "from random weights"
    if start:
        began = f"from {start['source']} (SHA-256 {start['sha256'][:12]})"
    many = settings["frozen"]
    frozen = f", the first {many} of its stages left as they were," if many else ""
    return (
        f"**Its encoder is not the public one**: it was trained {began}{frozen} for "
        f"{result['step']} steps of {kinds[settings['contrast']['objective']]} on scans without "
        f"labels, {len(tuned['data'])} of those listed below."
    )


def encoded_lines(settings: EncodedSettings) -> list[str]:
    """One line for each network of a whole-volume model, for its card."""
    spacing = " x ".join(f"{step:g}" for step in settings.preprocess.spacing)
    density = settings.density
    given = [f"sin-cos of the place, {density.sincos} frequencies"] if density.sincos else []
    given += [f"the mean of the shell {shell}" for shell in density.surround]
    if density.invariant:
        given.append(f"a masking-invariant network of {density.invariant} channels")
    kind = "flow" if density.head == "flow" else "Gaussian"
    kind += f" given {', '.join(given)}," if given else ""
    many = settings.shifts
    averaged = f", averaged over {many} shifts of the coarser maps" if many > 1 else ""
    lines = [
        (
            f"voxels of {spacing} mm (D, H, W), HU {settings.preprocess.window[0]:g} to "
            f"{settings.preprocess.window[1]:g}; the whole scan at once, a score every 6 mm{averaged}"
        ),
        f"encoder: inflated ResNet, stages of {settings.encoder.bottlenecks} bottlenecks",
        (
            f"discriminator: {settings.discriminator.hidden} hidden channels on "
            f"{words(settings.discriminator.sources)}, weight {settings.discriminator_part.weight:g}"
        ),
        (
            f"density: {kind} of {settings.density.components} principal components of "
            f"{words(settings.density.sources)}, weight {settings.density_part.weight:g}"
        ),
    ]
    if settings.elsewhere:
        lines.append(f"the encoder's weights lie elsewhere: {settings.elsewhere.source}")
    return lines


def words(sources: tuple[Source, ...]) -> str:
    """Maps that a head reads, in words."""
    return ", ".join(
        f"stage {source.stage + 1}"
        + (" at half resolution" if source.half else "")
        + (f" averaged over {source.cube}^3 voxels" if source.cube > 1 else "")
        for source in sources
    )
