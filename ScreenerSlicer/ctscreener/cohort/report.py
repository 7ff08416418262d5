"""What a report says: counts, failures by cause, whether rarities hold, what is rarest."""

import heapq
import io
from base64 import b64encode
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from PIL import Image

from ctscreener.cohort.index import folder_of
from ctscreener.cohort.peaks import MOST, row_of_peak
from ctscreener.cohort.place import Place
from ctscreener.cohort.rows import LEVELS, PEAKS
from ctscreener.cohort.table import read_batches

RAREST = 2000
"""Findings that a page lists, of however many."""
PICTURES = 60
"""Of these, the ones that are shown."""
COLUMNS = ["id", "run", "status", "code", "error", "voxels", "above", "found", "findings"]
THIRDS = {
    "left": ("right", "middle", "left"),
    "posterior": ("front", "middle", "back"),
    "superior": ("lower", "middle", "upper"),
}


@dataclass
class Counts:
    """Of one run.

    Arguments:
        scans: How many there are.
        failed: How many of them have no result.
        findings: How many findings all have, those beyond a scan's limit included.
        listed: How many of them are listed.
        without: How many scans have none.
        voxels: Scored voxels of all scans.
        above: Those at or above each of `LEVELS`, `(5,)`.
        shares: Of each scan, `(scans, 5)`.
    """

    scans: int = 0
    failed: int = 0
    findings: int = 0
    listed: int = 0
    without: int = 0
    voxels: int = 0
    above: np.ndarray = field(default_factory=lambda: np.zeros(len(LEVELS), np.int64))
    shares: list[np.ndarray] = field(default_factory=list)

    def add(self, row: dict[str, Any]) -> None:
        """Count a scan."""
        self.scans += 1
        if row["status"] != "done":
            self.failed += 1
            return
        self.findings += row["found"]
        self.listed += len(row["findings"])
        self.without += not row["found"]
        self.voxels += row["voxels"]
        self.above += np.array(row["above"], np.int64)
        self.shares.append(np.array(row["above"]) / max(1, row["voxels"]))

    def held(self) -> list[dict[str, float]]:
        """Set the share of voxels at or above each rarity beside the promised one."""
        shares = np.array(self.shares) if self.shares else np.zeros((0, len(LEVELS)))
        told = []
        for k, level in enumerate(LEVELS):
            some = shares[:, k] if len(shares) else np.zeros(1)
            low, middle, high = (float(x) for x in np.quantile(some, (0.05, 0.5, 0.95)))
            pooled = float(self.above[k] / max(1, self.voxels))
            told.append(
                {
                    "rarity": level,
                    "promised": 10.0**-level,
                    "found": pooled,
                    "low": low,
                    "middle": middle,
                    "high": high,
                }
            )
        return told


@dataclass
class Report:
    """All that a page says.

    Arguments:
        runs: Counts by the name of the run.
        causes: How many scans failed by each cause, with one message.
        rarest: The rarest findings of all that are listed, the rarest first.
        pictures: Pictures of the first of them, by their number in `rarest`, as data URIs.
    """

    runs: dict[str, Counts]
    causes: list[tuple[str, int, str]]
    rarest: list[dict[str, Any]]
    pictures: dict[int, str]


def gather(place: Place) -> Report:
    """Read a cohort's table once, some rows at a time.

    Arguments:
        place: The cohort.

    Raises:
        InputError: `cohort.missing`.
    """
    runs: dict[str, Counts] = {}
    causes, said = Counter[str](), dict[str, str]()
    rarest: list[tuple[float, str, str, int, dict[str, Any]]] = []
    for batch in read_batches(place, COLUMNS):
        for row in batch:
            runs.setdefault(row["run"], Counts()).add(row)
            if row["status"] != "done":
                causes[row["code"]] += 1
                said.setdefault(row["code"], row["error"])
            for one in row["findings"]:
                item = (one["peak_rarity"], row["run"], row["id"], -one["rank"], _told(row, one))
                add = heapq.heappush if len(rarest) < RAREST else heapq.heappushpop
                add(rarest, item)
    listed = [item[-1] for item in sorted(rarest, key=lambda item: item[:-1], reverse=True)]
    pictures = {n: _picture(place, one) for n, one in enumerate(listed[:PICTURES])}
    return Report(
        runs,
        [(code, count, said[code]) for code, count in causes.most_common()],
        listed,
        {n: picture for n, picture in pictures.items() if picture},
    )


def third(axis: str, share: float) -> str:
    """Name the third of what was scored in which a finding lies.

    Example:
        >>> third("superior", 0.9), third("left", 0.1)
        ('upper', 'right')
    """
    return THIRDS[axis][min(2, int(3 * share))]


def _told(row: dict[str, Any], one: dict[str, Any]) -> dict[str, Any]:
    """What the page says of a finding; its folder's name finds the picture."""
    return {
        "id": row["id"],
        "run": row["run"],
        "folder": folder_of(row["id"]),
        "rank": one["rank"],
        "rarity": round(one["peak_rarity"], 2),
        "volume": round(one["volume_ml"], 2),
        "diameter": round(one["diameter_mm"], 1),
        "hu": round(one["mean_hu"]),
        "part": one["part"],
        "height": third("superior", one["superior"]),
        "side": third("left", one["left"]),
        "depth": third("posterior", one["posterior"]),
    }


def _picture(place: Place, one: dict[str, Any]) -> str:
    """The picture of a finding as a data URI; empty where there is none."""
    path = place.scans(one["run"]) / one["folder"] / PEAKS
    if one["rank"] > MOST or not path.is_file():
        return ""
    with Image.open(path) as whole:
        content = io.BytesIO()
        row_of_peak(whole.convert("RGB"), one["rank"] - 1).save(content, "JPEG", quality=80)
    return f"data:image/jpeg;base64,{b64encode(content.getvalue()).decode('ascii')}"
