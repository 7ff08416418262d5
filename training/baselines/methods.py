"""All rivals by name: the only list of them."""

from typing import Any

from training.baselines import autoencoder, denoising, draem, mean_at_place, mood_top1
from training.baselines.method import Method

METHODS: dict[str, Method[Any]] = {
    "mean_at_place": mean_at_place.METHOD,
    "autoencoder": autoencoder.METHOD,
    "denoising": denoising.METHOD,
    "draem": draem.METHOD,
    "mood_top1": mood_top1.METHOD,
}
