"""All rivals by name: the only list of them."""

from typing import Any

from training.baselines import mean_at_place
from training.baselines.method import Method

METHODS: dict[str, Method[Any]] = {
    "mean_at_place": mean_at_place.METHOD,
}
