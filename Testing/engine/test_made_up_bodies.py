"""Five made-up patients as scanners show them: 99% of lung and soft tissue is scored, air is not."""

from collections.abc import Callable

import numpy as np
import pytest

from ctscreener.body import body_mask
from ctscreener.padding import without_padding
from ctscreener.unscored import unscored
from Testing.engine.patient import MM, Patient, ellipse

SEAM_MM = 5.0
"""So far from a cut, voxels are a mixture with the padding."""


Scene = tuple[Patient, np.ndarray, np.ndarray]
"""The patient, the scan's HU, and what lies beyond the field of view or at its edge."""


def whole(man: Patient) -> Scene:
    """A scan that cuts nothing off."""
    return man, man.noisy(20.0), np.zeros(man.shape, bool)


def within(man: Patient, radius: float, fill: float) -> Scene:
    """A scan of a circle, with one value outside of it."""
    hu = man.noisy(20.0)
    hu[man.outside(radius)] = fill
    return man, hu, man.outside(radius - SEAM_MM)


def head_with_open_airway() -> Scene:
    """Lungs that open to the room through windpipe, throat and nose."""
    return whole(Patient(-130, 410).with_airway(12))


def cut_field_of_view() -> Scene:
    """A circle of reconstruction through the wall of the chest, -3024 around it."""
    return within(Patient(-130, 150), 136, -3024)


def ring_of_water() -> Scene:
    """A circle that a resampling filled with 0 HU outside."""
    return within(Patient(-130, 150), 176, 0)


def couch_that_touches() -> Scene:
    """A back pressed 2 mm into a couch: a plate, foam, a plate."""
    man = Patient(-130, 150)
    man.with_couch(-108)
    return whole(man)


def arms_down() -> Scene:
    """Arms along the flanks, which they touch."""
    return whole(Patient(-300, 150, 300).with_arms(-2))


@pytest.mark.parametrize(
    "made_up",
    [head_with_open_airway, cut_field_of_view, ring_of_water, couch_that_touches, arms_down],
)
def test_lung_and_soft_tissue_are_scored_and_little_else(
    made_up: Callable[[], Scene],
) -> None:
    man, hu, beyond = made_up()
    body = body_mask(without_padding(hu, MM), MM, np.zeros(hu.shape, bool))
    lung = man.lung & ~beyond & (man.hu < -500)
    tissue = man.body & ~man.lung & ~beyond & (man.hu > -500)
    assert body[lung].mean() > 0.99
    assert body[tissue].mean() > 0.99
    assert (body & ~man.body).sum() < 0.01 * man.body.sum()
    assert unscored(hu, body, MM) == []


def test_soft_foam_that_the_back_sinks_into_is_no_body() -> None:
    man = Patient(-130, 150)
    foam = ellipse(man.r / 150, (man.a + 95) / 45) & ~man.body & (man.s > -1e4)
    man.hu[foam] = -400
    hu = man.noisy(20.0)
    body = body_mask(hu, MM, np.zeros(hu.shape, bool))
    assert body[man.trunk].mean() > 0.99
    assert body[foam].mean() < 0.2
