"""A mask that leaves lung or soft tissue out says so; one that does not is silent."""

import numpy as np
import pytest

from ctscreener.unscored import unscored
from Testing.engine.patient import MM, Patient


@pytest.fixture(scope="module")
def man() -> Patient:
    """A chest on a couch."""
    man = Patient(-130, 150)
    man.with_couch(-112)
    return man


def test_a_whole_mask_is_silent(man: Patient) -> None:
    assert unscored(man.noisy(), man.body, MM) == []


def test_a_lost_lung_is_told_with_its_share(man: Patient) -> None:
    right = man.lung & (man.r > 0)
    ((code, message),) = unscored(man.noisy(), man.body & ~right, MM)
    assert code == "body.lung_unscored"
    assert "50% of the lung" in message or "49% of the lung" in message


def test_lost_tissue_is_told(man: Patient) -> None:
    hole = (np.abs(man.r) < 60) & (np.abs(man.a) < 60) & (man.s > 50) & man.trunk & ~man.lung
    ((code, message),) = unscored(man.noisy(), man.body & ~hole, MM)
    assert code == "body.tissue_unscored"
    assert f"({hole.sum() * MM.prod() / 1000:.0f} ml)"[:3] in message


def test_a_few_lost_voxels_are_not_told(man: Patient) -> None:
    body = man.body.copy()
    body[20:24, 50:54, 80:84] = False
    assert unscored(man.noisy(), body, MM) == []
