"""All rivals by name: the only list of them."""

from importlib import import_module
from typing import Any

from training.baselines.method import Method

NAMES = (
    "mean_at_place",
    "gaussian",
    "autoencoder",
    "denoising",
    "draem",
    "f_anogan",
    "cutpaste",
    "mood_top1",
    "patchcore",
    "cflow",
    "simplenet",
    "msflow",
    "stunet",
    "bgad",
    "edc",
    "simple_slice_net",
    "rdpp",
    "ae_flow",
    "diffusion",
    "disyre",
    "two_phase",
    "cs3f",
)
"""Each is the file of this name beside this one: a new rival is its file and one line here."""

METHODS: dict[str, Method[Any]] = {
    name: import_module(f"training.baselines.{name}").METHOD for name in NAMES
}
