"""What models are called, and that the benchmark trains every cell that the paper prints."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ctscreener.calibration import Calibration
from ctscreener.conditions import ConditionSettings
from ctscreener.density import DensitySettings
from ctscreener.encoded import Encoded, EncodedSettings, Part
from ctscreener.model import Distilled, Model, ModelSettings, Networks
from ctscreener.networks import NetworkSettings
from ctscreener.student import StudentSettings
from training.evaluation.method import describe
from training.page.printed import TABLE_3, TABLE_4

RECIPE = Path(__file__).parents[2] / "training" / "recipes" / "phantom_benchmark.sh"
WORDS = {
    "vicreg32": "VICReg, d = 32",
    "vicreg128": "VICReg, d = 128",
    "simclr32": "SimCLR, d = 32",
    "sincos": "sin-cos",
    "masked": "masking-invariant",
    "ape": "APE",
    "gaussian": "Gaussian",
}


def model(objective: str, condition: ConditionSettings, density: DensitySettings) -> Model:
    """An untrained model."""
    settings = ModelSettings(
        descriptor=NetworkSettings(channels=(8, 16), out=32),
        condition=condition,
        density=density,
        tile=(8, 24, 24),
    )
    provenance = {"stages": {"descriptor": {"settings": {"contrast": {"objective": objective}}}}}
    calibration = Calibration.fit(np.random.default_rng(0).gamma(2, 2, 500))
    return Model("m", Networks(settings), calibration, provenance, "", "")


@pytest.mark.parametrize(
    ("objective", "condition", "head", "expected"),
    [
        ("vicreg", ConditionSettings(), "gaussian", ("VICReg, d = 32", "none", "Gaussian")),
        ("simclr", ConditionSettings(sincos=2), "flow", ("SimCLR, d = 32", "sin-cos", "flow")),
        (
            "vicreg",
            ConditionSettings(learned=NetworkSettings(channels=(8, 16), out=4, inputs=2)),
            "flow",
            ("VICReg, d = 32", "masking-invariant", "flow"),
        ),
        (
            "vicreg",
            ConditionSettings(ape=NetworkSettings(channels=(8, 16), out=3, inputs=2)),
            "gaussian",
            ("VICReg, d = 32", "APE", "Gaussian"),
        ),
        (
            "simclr",
            ConditionSettings(
                sincos=4,
                learned=NetworkSettings(channels=(8, 16), out=4, inputs=2),
                learned_shell=(2, 5),
                surround=((3, 7),),
            ),
            "flow",
            ("SimCLR, d = 32", "sin-cos + masking-invariant around + surroundings", "flow"),
        ),
        ("", ConditionSettings(), "flow", ("unknown objective, d = 32", "none", "flow")),
    ],
)
def test_a_model_is_named_as_in_the_papers_tables(
    objective: str, condition: ConditionSettings, head: str, expected: tuple[str, str, str]
) -> None:
    found = describe(model(objective, condition, DensitySettings(head=head)))
    assert tuple(found.values()) == expected


def test_a_full_gaussian_is_not_taken_for_the_papers() -> None:
    found = describe(model("vicreg", ConditionSettings(), DensitySettings("gaussian", "full")))
    assert found["density"] == "full Gaussian"


def test_what_was_distilled_is_not_taken_for_the_papers() -> None:
    plain = model("vicreg", ConditionSettings(), DensitySettings())
    settings = replace(plain.settings, student=StudentSettings(), tile=(16, 24, 24))
    found = describe(replace(plain, networks=Distilled(settings)))
    assert found == describe(plain) | {"density": "flow, distilled"}


def test_a_whole_volume_model_is_named_by_its_parts() -> None:
    plain = model("vicreg", ConditionSettings(), DensitySettings())
    both = EncodedSettings(density_part=Part(0.1))
    expected = {"descriptor": "public encoder, 2 stages", "condition": "none"}
    for settings, density in (
        (both, "discriminator + Gaussian"),
        (replace(both, density_part=Part(0.0)), "discriminator"),
        (replace(both, discriminator_part=Part(0.0)), "Gaussian"),
    ):
        found = describe(replace(plain, networks=Encoded(settings)))
        assert found == expected | {"density": density}


def test_the_benchmark_has_every_cell_of_tables_3_and_4() -> None:
    text = RECIPE.read_text()
    cells = set(re.findall(r"(?:vicreg|simclr)\d+-[a-z]+-[a-z]+", text))
    methods = {tuple(WORDS.get(word, word) for word in cell.split("-")) for cell in cells}
    printed = {row.method for row in (*TABLE_3.rows, *TABLE_4.rows) if row.method}
    assert methods == printed
    for family in ("lung_nodule", "lung_opacity", "kidney_tumour", "liver_tumour"):
        assert family in text
