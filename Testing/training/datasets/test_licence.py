"""Licences of data sets, and what weights inherit of them."""

from training.datasets import licence
from training.datasets.licence import Licence, inherited


def test_all_licences_are_told_with_their_scans_and_unknown_ones_last() -> None:
    told = inherited(["CC0", "", "CC BY 4.0", "CC0"])
    assert told.endswith(" CC BY 4.0 (1 scan), CC0 (2 scans), not told (1 scan).")
    assert inherited([]) == inherited(["", ""]) == ""


def test_nothing_that_forbids_money_or_change_or_binds_what_is_made_is_permissive() -> None:
    known = [one for one in vars(licence).values() if isinstance(one, Licence)]
    assert len(known) > 5
    for one in known:
        free = not any(word in one.name for word in ("NC", "ND", "SA", "not known"))
        assert one.permissive == free, one.name
