"""A part of a whole-volume model is what it adds to the sum."""

from dataclasses import replace

import numpy as np
import pytest

from ctscreener.calibration import Calibration
from ctscreener.errors import InputError
from ctscreener.model import Model
from ctscreener.scan import Scan
from ctscreener.scorer import AnyScorer
from ctscreener.screening import ScreenSettings
from Testing.engine.small_encoded import SETTINGS, small_encoded
from Testing.engine.small_model import networks
from training.baselines.scoring import rival_map
from training.evaluation.part_score import PARTS, part_score


def model_of(scorer: AnyScorer) -> Model:
    scores = np.linspace(-5, 5, 1000, dtype=np.float32)
    return Model("small", scorer, Calibration.fit(scores), {}, "", "0" * 64)


@pytest.fixture
def scan(rng: np.random.Generator) -> Scan:
    hu = np.full((24, 40, 44), -1000.0, np.float32)
    hu[2:-2, 6:-6, 6:-6] = rng.normal(20, 150, (20, 28, 32))
    return Scan(hu, np.diag([3.0, 3.0, 3.0, 1.0]))


def test_both_parts_make_the_score_together(scan: Scan) -> None:
    model, screening = model_of(small_encoded()), ScreenSettings(device="cpu")
    body = scan.hu > -900
    whole = rival_map(model.networks, scan, body, screening)
    alone = [part_score(model, part, screening).map(scan, body) for part in PARTS]
    np.testing.assert_allclose(alone[0] + alone[1], whole, atol=1e-4)
    assert all(np.nanstd(one) > 0 for one in alone)
    assert model.networks.settings == SETTINGS, "the model itself stays whole"


def test_parts_are_told_apart_by_name_and_hash() -> None:
    model, screening = model_of(small_encoded()), ScreenSettings()
    first, second = (part_score(model, part, screening) for part in PARTS)
    assert (first.name, second.name) == ("discriminator alone", "density alone")
    assert len({first.sha256, second.sha256}) == 2


def test_what_is_no_part_is_refused() -> None:
    unused = replace(SETTINGS, density_part=replace(SETTINGS.density_part, weight=0.0))
    for scorer, part in (
        (small_encoded(), "encoder"),
        (small_encoded(unused), "density"),
        (networks(), "density"),
    ):
        with pytest.raises(InputError, match=f"found {part}"):
            part_score(model_of(scorer), part, ScreenSettings())
