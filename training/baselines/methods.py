"""All rivals by name: the only list of them."""

from typing import Any

from training.baselines import (
    autoencoder,
    cflow,
    cutpaste,
    denoising,
    draem,
    f_anogan,
    gaussian,
    mean_at_place,
    mood_top1,
    patchcore,
    simplenet,
)
from training.baselines.method import Method

METHODS: dict[str, Method[Any]] = {
    "mean_at_place": mean_at_place.METHOD,
    "gaussian": gaussian.METHOD,
    "autoencoder": autoencoder.METHOD,
    "denoising": denoising.METHOD,
    "draem": draem.METHOD,
    "f_anogan": f_anogan.METHOD,
    "cutpaste": cutpaste.METHOD,
    "mood_top1": mood_top1.METHOD,
    "patchcore": patchcore.METHOD,
    "cflow": cflow.METHOD,
    "simplenet": simplenet.METHOD,
}
