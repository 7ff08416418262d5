"""Groups of patients that networks are trained without, so that each scan is scored unseen."""

import re
from collections.abc import Mapping, Sequence

from ctscreener.errors import InputError


def patient_of(name: str, pattern: str) -> str:
    """The patient that a scan's name tells.

    Arguments:
        name: The scan.
        pattern: A regular expression whose first group is the patient.

    Raises:
        InputError: `folds.patient` where the pattern does not match, or is none.

    Example:
        >>> patient_of("p07_arterial", r"(p[0-9]+)")
        'p07'
    """
    try:
        found = re.match(pattern, name)
    except re.error as error:
        raise InputError(
            "folds.patient",
            f"Expected a regular expression for --patient, found {pattern!r}: {error}.",
            "Give one with one group, such as '([^_]+)'.",
        ) from error
    if found is None or not found.groups() or found[1] is None:
        raise InputError(
            "folds.patient",
            f"Expected --patient to find a patient in the name {name}, found none by {pattern!r}.",
            "Give a regular expression with one group, such as '([^_]+)'.",
        )
    return found[1]


def fold_of(
    names: Sequence[str],
    pattern: str,
    folds: int,
    known: Mapping[str, str] | None = None,
    alike: Sequence[Sequence[str]] = (),
) -> dict[str, int]:
    """Which fold each scan is in; scans of one patient are in one fold.

    Arguments:
        names: The scans.
        pattern: Finds the patient, see `patient_of`.
        folds: How many folds.
        known: Patients that data sets tell, by the name of the scan; the pattern finds others.
        alike: Groups of names of scans that are nearly the same, as of one patient in two sets:
            their patients count as one.

    Raises:
        InputError: `folds.patient` or `folds.number`.

    Example:
        >>> fold_of(["a_1", "a_2", "b_1", "c_1"], "([a-z])", 2)
        {'a_1': 0, 'a_2': 0, 'b_1': 1, 'c_1': 0}
        >>> fold_of(["a_1", "a_2", "b_1", "c_1"], "([a-z])", 2, {"a_2": "x"}, [["b_1", "c_1"]])
        {'a_1': 0, 'a_2': 0, 'b_1': 1, 'c_1': 1}
    """
    if folds < 1:
        raise InputError(
            "folds.number", f"Expected 1 or more folds, found {folds}.", "Give another --folds."
        )
    known = known or {}
    whose = {name: known.get(name) or patient_of(name, pattern) for name in names}
    for group in alike:
        same = {whose[name] for name in group if name in whose}
        whose = {name: min(same) if one in same else one for name, one in whose.items()}
    patients = sorted(set(whose.values()))
    number = {patient: index % folds for index, patient in enumerate(patients)}
    return {name: number[one] for name, one in whose.items()}
