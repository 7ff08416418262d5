"""The stage that trains what reads scores off the encoder's maps, and scores scans left out of it.

Every scan is scored by networks that saw neither its patient nor a foreign patch of it: rarity
refers to these scores, and the parts of the sum are brought to one scale by them. The model itself
averages all networks.
"""

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from ctscreener.conditional import is_conditional
from ctscreener.encoded import PLAIN, Elsewhere, Encoded, EncodedSettings, Part
from ctscreener.encoder import Encoder
from ctscreener.errors import InputError
from ctscreener.heads import Source
from ctscreener.preprocess import PreprocessSettings
from ctscreener.settings import from_json, to_json, write_json
from ctscreener.whole_file import whole_file
from training.data.drawing import Budget, Drawing, drawing_of
from training.data.drawn_rows import all_rows, count_kept, keys_of
from training.data.folds import fold_of
from training.data.masked_views import kept_views
from training.data.placed_rows import Placed, placed_rows
from training.data.rows import Rows
from training.data.store import Store
from training.discriminator_settings import SOURCES, DiscriminatorSettings, check_density
from training.encoder import EncoderFolder, load_encoder
from training.fit_heads import Fitted, fit_discriminator, side_by_side
from training.left_out import density_of, left_out_scores, matrix, readers_of, scales_of
from training.loop import processes


def main(settings: DiscriminatorSettings) -> None:
    """Draw rows, train, and score each scan by the networks that did not see it.

    Arguments:
        settings: All settings.

    Raises:
        InputError: The store is of another kind, or there are too few patients.
    """
    began = time.monotonic()
    processes.meet()
    store = Store(settings.store, settings.exclude)
    if from_json(PreprocessSettings, store.preprocess) != PLAIN:
        raise InputError(
            "discriminator.store",
            f"Expected scans in HU as the encoder sees them in {settings.store}, found others.",
            "Run the stage `prepare` with --plain.",
        )
    known = {name: scan.patient for name, scan in store.scans.items()}
    folds = fold_of(store.names, settings.patient, settings.folds, known, store.alike)
    if len(set(folds.values())) < 2:
        raise InputError(
            "discriminator.patients",
            "Expected patients in at least two folds, so that each is scored by networks that "
            "never saw it, found them in one.",
            "Prepare scans of more patients, or check --patient and --folds.",
        )
    encoder, about = load_encoder(settings.encoder)
    encoder.to(memory_format=torch.channels_last_3d)  # pyright: ignore[reportCallIssue]
    encoder.to(processes.device())
    sources = tuple(s for s in SOURCES if s.stage < len(encoder.settings.widths))
    check_density(settings.density, sources)
    if processes.is_first():
        # What an earlier run with other settings has finished is finished no more.
        (settings.run / "result.json").unlink(missing_ok=True)
        write_json(settings.run / "settings.json", settings)
        write_json(settings.run / "encoder.json", about)
    processes.wait()
    kept = settings.rows_at or settings.run / "rows"
    drawn = partial(all_rows, settings.draw, kept, store, encoder, about.sha256, sources, folds)
    budget = Budget(settings.draw.max_minutes)
    # Several processes share out what is kept in files: each then finds there what it has not made.
    if processes.count() > 1:
        dict(drawn(processes.shared(store.names), budget))
        # All of them have to learn from the same rows.
        budget = replace(budget, minutes=0.0 if settings.draw.max_minutes is not None else None)
    processes.wait()
    rows = dict(drawn(store.names, budget))
    keys = keys_of(settings.draw, store, about.sha256, folds, store.names)
    drawing = drawing_of(settings.draw, count_kept(kept, keys), len(keys), budget.seconds())
    pairs = [
        (fold, seed) for fold in sorted(set(folds.values())) for seed in range(settings.seeds)
    ]
    for fold, seed in processes.shared(pairs) if processes.count() > 1 else ():
        others = {n: rows[n] for n in rows if folds[n] != fold}
        fit_fold(settings, fold, others, sources, [seed])
    processes.wait()
    heads = {
        fold: fit_fold(settings, fold, {n: rows[n] for n in rows if folds[n] != fold}, sources)
        for fold in sorted(set(folds.values()))
    }
    placed = {}
    if is_conditional(settings.density):
        placed = placed_for(settings, store, encoder, about.sha256)
    model = assemble(settings, encoder, about, heads, rows, placed, sources)
    readers = readers_of(settings, model.settings, heads, rows, placed, folds)
    scored = partial(left_out_scores, settings, store, encoder, model.settings, readers, folds)
    if processes.count() > 1:
        scored(processes.shared(store.names))
    processes.wait()
    if not processes.is_first():
        return
    parts = scored(store.names)
    finish(settings, store, model, parts, folds, time.monotonic() - began, drawing)


def placed_for(
    settings: DiscriminatorSettings, store: Store, encoder: Encoder, sha256: str
) -> dict[str, Placed]:
    """What a density with conditions is fitted to, of every scan."""
    density, fit, views = settings.density, settings.fit_density, {}
    if density.invariant:
        kept = (settings.rows_at or settings.run) / "views"
        shown = (encoder, sha256, density, fit.invariant.views)
        views = kept_views(kept, store, *shown)
    most, folder = fit.voxels, settings.run / "placed"
    return placed_rows(folder, store, encoder, sha256, density, most, views)


def fit_fold(
    settings: DiscriminatorSettings,
    fold: int,
    rows: Mapping[str, Sequence[Rows]],
    sources: Sequence[Source],
    seeds: Sequence[int] | None = None,
) -> list[Fitted]:
    """Networks trained on all patients but those of one fold; of some seeds alone where given."""
    flat = [some for own in rows.values() for some in own]
    told = to_json([settings.fit, settings.seed, fold, sources])
    digest = hashlib.sha256(json.dumps(told).encode())
    for some in flat:
        digest.update(some.anomalous.tobytes() + some.number.tobytes())
        for source in sources:
            digest.update(np.ascontiguousarray(some.features[source.name]).data)
    features: Tensor | None = None
    fitted = []
    for seed in range(settings.seeds) if seeds is None else seeds:
        path = settings.run / "heads" / f"{fold}-{seed}-{digest.hexdigest()[:16]}.safetensors"
        if not path.is_file():
            features = matrix(flat, sources) if features is None else features
            labels = torch.from_numpy(np.concatenate([some.anomalous for some in flat]))
            weights = np.concatenate(
                [some.weights(settings.fit.evenness, settings.fit.others) for some in flat]
            )
            number = 1000 * settings.seed + 100 * fold + seed
            made = fit_discriminator(
                features,
                labels,
                torch.from_numpy(weights),
                settings.fit,
                number,
                processes.device(),
            )
            path.parent.mkdir(parents=True, exist_ok=True)
            tensors = {"weight": made.weight, "bias": made.bias, "out": made.out}
            tensors |= {"out_bias": made.out_bias, "loss": torch.tensor([made.loss])}
            with whole_file(path) as beside:
                save_file({k: v.contiguous() for k, v in tensors.items()}, beside)
        stored = load_file(path)
        loss = float(stored.pop("loss"))
        fitted.append(Fitted(**stored, loss=loss))
        print(f"discriminator: fold {fold}, seed {seed}, loss {loss:.3f}", flush=True)
    return fitted


def assemble(
    settings: DiscriminatorSettings,
    encoder: Encoder,
    about: EncoderFolder,
    heads: Mapping[int, Sequence[Fitted]],
    rows: Mapping[str, Sequence[Rows]],
    placed: Mapping[str, Placed],
    sources: Sequence[Source],
) -> Encoded:
    """The model of all networks."""
    channels = {
        s: encoder.settings.channels[s.stage] for s in (*sources, *settings.density.sources)
    }
    every = side_by_side([one for some in heads.values() for one in some], sources, channels)
    elsewhere = Elsewhere(about.sha256, about.source) if about.elsewhere else None
    model = Encoded(
        EncodedSettings(
            encoder=encoder.settings,
            discriminator=every.settings,
            density=settings.density,
            elsewhere=elsewhere,
            shifts=settings.shifts,
        )
    )
    model.encoder = encoder.cpu()
    model.discriminator = every
    model.density = density_of(settings, rows, placed, channels)
    return model


def finish(
    settings: DiscriminatorSettings,
    store: Store,
    model: Encoded,
    parts: Mapping[str, Mapping[str, np.ndarray]],
    folds: Mapping[str, int],
    seconds: float,
    drawing: Drawing,
) -> None:
    """Write what `export` needs: settings, heads, data, and what came out."""
    scales = scales_of(parts.values())
    described = replace(
        model.settings,
        discriminator_part=Part(1.0, *scales["discriminator"]),
        density_part=Part(0.0, *scales["density"]),
    )
    state = {
        n: t.contiguous() for n, t in model.state_dict().items() if not n.startswith("encoder")
    }
    with whole_file(settings.run / "heads.safetensors") as beside:
        save_file(state, beside)
    write_json(settings.run / "model.json", described)
    write_json(settings.run / "data.json", store.provenance())
    write_json(settings.run / "folds.json", dict(folds))
    write_json(
        settings.run / "result.json",
        {
            "networks": len(set(folds.values())) * settings.seeds,
            "scales": scales,
            "scans": len(parts),
            # Of this run: what an earlier one had finished took no time.
            "seconds": seconds,
            "draws": drawing.made,
            "draws_asked": drawing.asked,
            "draw_seconds": drawing.seconds,
        },
    )
