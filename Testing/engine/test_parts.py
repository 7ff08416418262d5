"""Arms, head and legs are told from the torso, and what is unclear is torso."""

import numpy as np
import pytest

from ctscreener.parts import ARMS, HEAD, LEGS, TORSO, body_parts
from Testing.engine.patient import MM, Patient


def test_a_whole_patient_has_all_parts() -> None:
    man = Patient(-600, 410, 300).with_arms(15).with_airway(12)
    parts = body_parts(man.noisy(), man.body, MM)
    np.testing.assert_array_equal(parts > 0, man.body)
    assert (parts[man.arms & (man.s < 80)] == ARMS).mean() > 0.99
    assert (parts[man.head] == HEAD).mean() > 0.99
    assert (parts[man.legs] == LEGS).mean() > 0.99
    assert (parts[man.trunk & (man.s > -410) & (man.s < 140)] == TORSO).mean() > 0.99
    assert (parts[man.shoulders & (man.s > 90) & (man.s < 140)] == TORSO).mean() > 0.99


def test_arms_that_touch_the_flanks_are_arms() -> None:
    man = Patient(-300, 100, 300).with_arms(-2)
    parts = body_parts(man.noisy(), man.body, MM)
    assert (parts[man.arms & ~man.trunk & (man.s < 80)] == ARMS).mean() > 0.95
    assert (parts[man.trunk] == TORSO).mean() > 0.99


@pytest.mark.parametrize(("low", "high"), [(-400.0, -120.0), (-130.0, 100.0), (-200.0, 120.0)])
def test_a_trunk_alone_is_torso(low: float, high: float) -> None:
    man = Patient(low, high)
    assert set(np.unique(body_parts(man.noisy(), man.body, MM))) == {0, TORSO}


def test_a_lump_without_bone_beside_the_trunk_is_no_arm() -> None:
    man = Patient(-130, 100, 300).with_arms(15)
    hu = man.noisy()
    hu[man.arms & ~man.trunk] = 40
    assert not (body_parts(hu, man.body, MM) == ARMS).any()


def test_a_head_alone_is_not_guessed_at() -> None:
    man = Patient(210, 410)
    assert not (body_parts(man.noisy(), man.body, MM) == LEGS).any()


def test_no_body_has_no_parts() -> None:
    empty = np.zeros((4, 30, 30), bool)
    assert not body_parts(np.full(empty.shape, -1000.0), empty, MM).any()
