"""Scans of one patient are left out together."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ctscreener.errors import InputError
from training.data.folds import fold_of, patient_of

NAMES = st.lists(
    st.builds("{}_{}".format, st.integers(0, 20), st.integers(0, 3)), min_size=1, unique=True
)


@settings(max_examples=100, deadline=None)
@given(NAMES, st.integers(1, 6))
def test_patients_stay_together_and_folds_are_even(names: list[str], folds: int) -> None:
    found = fold_of(names, "([0-9]+)_", folds)
    assert set(found) == set(names)
    of_patient: dict[str, set[int]] = {}
    for name, fold in found.items():
        of_patient.setdefault(name.split("_")[0], set()).add(fold)
    assert all(len(own) == 1 for own in of_patient.values())
    sizes = [sum(fold in own for own in of_patient.values()) for fold in range(folds)]
    assert max(sizes) - min(sizes) <= 1
    # The order in which scans are listed changes nothing.
    assert fold_of(names[::-1], "([0-9]+)_", folds) == found


@pytest.mark.parametrize("pattern", ["x", "[ab]", "(x)?", "b|(x)"])
def test_a_pattern_that_finds_no_patient_is_refused_with_the_name(pattern: str) -> None:
    with pytest.raises(InputError, match="b_1") as error:
        patient_of("b_1", pattern)
    assert error.value.code == "folds.patient"
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("pattern", ["(", "[", "*"])
def test_what_is_no_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(InputError) as error:
        patient_of("b_1", pattern)
    assert error.value.code == "folds.patient"


@pytest.mark.parametrize("folds", [0, -1])
def test_there_must_be_folds(folds: int) -> None:
    with pytest.raises(InputError) as error:
        fold_of(["a", "b"], "(.*)", folds)
    assert error.value.code == "folds.number"


def test_patients_that_sets_tell_and_scans_that_are_nearly_the_same_stay_together() -> None:
    names = ["kits_1", "kits_2", "atlas_7", "atlas_8", "own_3"]
    known = {"kits_1": "p", "kits_2": "p", "atlas_7": "q", "atlas_8": "r"}
    alike = [["atlas_7", "kits_2", "gone"], ["atlas_8", "own_3"]]
    found = fold_of(names, "(.*)", 5, known, alike)
    assert found["kits_1"] == found["kits_2"] == found["atlas_7"]
    assert found["atlas_8"] == found["own_3"] != found["kits_1"]
    assert len(set(fold_of(names, "(.*)", 5, known).values())) == 4
