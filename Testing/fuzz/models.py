"""Damaged model folders: `model.json`, weights or card, and what the loaded model then does."""

import functools
import hashlib
import json
import tempfile
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import load

from ctscreener.model import load_model
from ctscreener.screening import ScreenSettings, screen
from ctscreener.settings import to_json
from Testing.engine.small_model import save
from Testing.engine.torso import torso
from Testing.fuzz.mutations import damaged, damaged_json

WEIGHTS = "weights.safetensors"
# A process that has started threads of torch cannot be forked: the child would wait for them.
torch.set_num_threads(1)


@functools.cache
def sound_model() -> dict[str, bytes]:
    """The files of a small model that nothing is wrong with."""
    with tempfile.TemporaryDirectory() as place:
        folder = save(Path(place) / "model")
        return {path.name: path.read_bytes() for path in folder.iterdir()}


def write_model(folder: Path, rng: np.random.Generator) -> Path:
    """Write a model of which one file is damaged."""
    files = dict(sound_model())
    description = json.loads(files["model.json"])
    # Of the long list of quantiles, most draws would hit nothing else.
    fate = rng.random()
    if fate < 0.6:
        part = str(rng.choice(["settings", "settings", "settings", "calibration", "all"]))
        if part == "all":
            files["model.json"] = damaged_json(description, rng).encode()
        else:
            text = damaged_json(description[part], rng)
            description[part] = "HERE"
            files["model.json"] = json.dumps(description).replace('"HERE"', text).encode()
    elif fate < 0.9:
        files[WEIGHTS] = damaged(files[WEIGHTS], rng)
        if rng.random() < 0.7:
            description["sha256"] = hashlib.sha256(files[WEIGHTS]).hexdigest()
            files["model.json"] = json.dumps(description).encode()
    else:
        files["CARD.md"] = damaged(files["CARD.md"], rng)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def use_model(folder: Path) -> str:
    """Load a model, compare it with what its files say, and screen a small torso with it.

    Arguments:
        folder: The folder of the model.

    Returns:
        What differs; empty where nothing does.

    Raises:
        InputError: The model cannot be used.
    """
    model = load_model(str(folder))
    description = json.loads((folder / "model.json").read_bytes())
    weights = load((folder / WEIGHTS).read_bytes())
    known = model.networks.state_dict()
    for name, values in weights.items():
        if not np.array_equal(known[name].numpy(), values.astype(np.float32)):
            return f"other weights in {name}"
    if _differ(description["settings"], to_json(model.settings)):
        return "other settings than in model.json"
    scan = torso(shape=(24, 40, 40), lung_half_length=30)
    screened = screen(scan, model, ScreenSettings(overlap=0, device="cpu"))
    found = screened.rarity[np.isfinite(screened.rarity)]
    return "" if found.size else "no voxel scored"


def _differ(written: object, used: object) -> bool:
    """Whether a value in JSON was taken for another; what is missing takes its default."""
    if isinstance(written, dict) and isinstance(used, dict):
        return any(_differ(value, used.get(name)) for name, value in written.items())
    if isinstance(written, list) and isinstance(used, list):
        return len(written) != len(used) or any(map(_differ, written, used))
    return written != used
