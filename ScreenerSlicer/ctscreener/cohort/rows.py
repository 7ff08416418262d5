"""A row: all that the table says of one scan, and the file in its folder that holds it."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from ctscreener.planes import scored_counts
from ctscreener.scan import Scan, canonical_view

if TYPE_CHECKING:
    from ctscreener.findings import Finding

ROW = "row.json"
PEAKS = "peaks.jpg"
"""Pictures of the first findings, see `peaks.py`."""
LEVELS = (1, 2, 3, 4, 5)
"""Rarities at which voxels are counted, to compare their share with the promised one."""
AXES = ("left", "posterior", "superior")


def levels_above(rarity: np.ndarray) -> dict[str, Any]:
    """Count scored voxels, and those at or above each of `LEVELS`; slice by slice, for the memory.

    Arguments:
        rarity: `(D, H, W)`; NaN where not scored.

    Example:
        >>> levels_above(np.array([[[np.nan, 0.5, 1.0, 2.5]]]))
        {'voxels': 3, 'above': [2, 1, 0, 0, 0]}
    """
    voxels, above = 0, [0] * len(LEVELS)
    for one in rarity:
        voxels += int(np.count_nonzero(np.isfinite(one)))
        above = [n + int(np.count_nonzero(one >= r)) for n, r in zip(above, LEVELS, strict=True)]
    return {"voxels": voxels, "above": above}


def places(
    rarity: np.ndarray, affine: np.ndarray, findings: Sequence["Finding"]
) -> list[dict[str, float]]:
    """Say where findings lie in what was scored: from 0 to 1 to the left, back and head.

    Arguments:
        rarity: `(D, H, W)`; NaN where not scored.
        affine: Voxel index to RAS mm, `(4, 4)`.
        findings: What was found there.
    """
    view = canonical_view(Scan(rarity, affine))
    found = [np.flatnonzero(count) for count in scored_counts(view.hu)]
    low = np.array([at[0] if len(at) else 0 for at in found], float)
    high = np.array([at[-1] if len(at) else 1 for at in found], float)
    told = []
    for one in findings:
        index = np.linalg.solve(view.affine, np.array([*one.peak_ras, 1.0]))[:3]
        # D runs to the head, H to the back and W to the left.
        share = np.clip((index - low) / np.maximum(high - low, 1), 0, 1)[::-1]
        told.append({axis: round(float(x), 3) for axis, x in zip(AXES, share, strict=True)})
    return told


def row_of(
    facts: Mapping[str, Any],
    origin: Mapping[str, Any],
    findings: Sequence["Finding"],
    found_at: Sequence[Mapping[str, float]],
) -> dict[str, Any]:
    """Put a row together.

    Arguments:
        facts: What is known of the scan beside its result.
        origin: The provenance that `findings.json` holds.
        findings: What was found.
        found_at: Where, see `places`.

    Returns:
        The row, ready for JSON; see `table.SCHEMA`.
    """
    model, grid = origin["model"], origin["grid"]
    return {
        **facts,
        "status": "done",
        "code": "",
        "error": "",
        "action": "",
        "bytes": origin["input"]["bytes"],
        "sha256": origin["input"]["sha256"],
        "shape": grid["shape"],
        "spacing_mm": grid["spacing_mm"],
        "model": model["name"],
        "weights_sha256": model["weights_sha256"],
        "settings_sha256": model["settings_sha256"],
        "rarity_counted_up_to": model.get("rarity_counted_up_to"),
        "version": origin["software"]["version"],
        "torch": origin["torch"],
        "device": origin["device"],
        "notices": list(origin["notices"]),
        "seconds": round(sum(origin["seconds"].values()), 3),
        "findings": [
            {**asdict(one), **where} for one, where in zip(findings, found_at, strict=True)
        ],
    }


def failed_row(
    run: str, entry_facts: Mapping[str, Any], code: str, message: str, action: str
) -> dict[str, Any]:
    """Say why a scan has no result.

    Arguments:
        run: What the run is called.
        entry_facts: `id`, `path`, `series` and `stamp` of the scan.
        code: The stable name of the error.
        message: What was expected and found.
        action: What to do.
    """
    return {
        **entry_facts,
        "run": run,
        "status": "failed",
        "code": code,
        "error": message,
        "action": action,
        "findings": [],
    }
