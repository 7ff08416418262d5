"""Arms, head and legs are told from the torso, and what is unclear is torso."""

import numpy as np
import pytest

from ctscreener.parts import ARMS, HEAD, LEGS, TORSO, Parts, body_parts
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


def test_a_part_is_read_at_the_point_on_the_grid_of_the_parts() -> None:
    labels = np.zeros((6, 8, 10), np.uint8)
    labels[:3, :, 2:], labels[3:, :, 2:] = TORSO, HEAD
    affine = np.array([[0, 0, -2.0, 30], [0, -3.0, 0, 5], [4.0, 0, 0, -7], [0, 0, 0, 1]])
    parts = Parts(labels, affine)

    def ras(*index: float) -> list[float]:
        return (affine @ [*index, 1.0])[:3].tolist()

    assert parts.at(ras(1, 4, 5)) == "torso"
    assert parts.at(ras(3.4, 4, 5)) == "head"
    # Halfway between two, whatever the last digits of the point.
    for digits in (-1e-9, 0.0, 1e-9):
        assert parts.at(ras(2.5 + digits, 4, 5)) == "head"
    # Outside of the body by a rounding, and outside of the grid.
    assert parts.at(ras(5, 4, 1)) == "head"
    assert parts.at(ras(99, 4, 5)) == "head"
    # Far from any body: what is unclear is torso.
    assert Parts(np.zeros((3, 3, 3), np.uint8), affine).at(ras(1, 1, 1)) == "torso"
