"""Which stages of a model's making have seen a scan: what "left out" means, checked by hashes."""

from collections.abc import Sequence
from typing import Any

from ctscreener.errors import InputError
from training.data.sources import hash_source
from training.evaluation.case import Case

CALIBRATION = "calibration"


def seen_by(provenance: dict[str, Any], digests: Sequence[str]) -> dict[str, int] | None:
    """Count the scans that each stage of a model was given.

    Arguments:
        provenance: How the model was made, see `training.export.trace`.
        digests: SHA-256 of the scans, as in a store.

    Returns:
        How many of them each stage was trained on, and how many `calibration` rests on; None
        where the model does not say.

    Example:
        >>> stages = {"density": {"data": [{"name": "a", "sha256": "1"}]}}
        >>> seen_by({"stages": stages, "reference": []}, ["1", "2"])
        {'density': 1, 'calibration': 0}
    """
    if "stages" not in provenance:
        return None
    data = {stage: facts["data"] for stage, facts in provenance["stages"].items()}
    data[CALIBRATION] = provenance["reference"]
    known = {stage: {scan["sha256"] for scan in scans} for stage, scans in data.items()}
    return {stage: sum(one in some for one in digests) for stage, some in known.items()}


def digest_of(case: Case) -> str:
    """SHA-256 of the scan that a case shows, before lesions were put into it."""
    return case.origin or hash_source(case.scan, case.series)


def check_fold(provenance: dict[str, Any], cases: Sequence[Case]) -> None:
    """Refuse scans that the model of one fold was trained on: it is made to be measured on others.

    Of any other model it is told, see `seen_by`, and no scan is refused.

    Raises:
        InputError: `evaluate.fold`.
    """
    if "fold" not in provenance:
        return
    trained = {scan["sha256"] for scan in provenance["stages"]["discriminator"]["data"]}
    seen = [case.name for case in cases if digest_of(case) in trained]
    if seen:
        raise InputError(
            "evaluate.fold",
            f"Expected scans that the model of fold {provenance['fold']['number']} was not trained "
            f"on, found {len(seen)} of {len(cases)} that it was, such as {seen[0]}.",
            "Measure each scan by the model of its own fold; the model's card lists its scans.",
        )
