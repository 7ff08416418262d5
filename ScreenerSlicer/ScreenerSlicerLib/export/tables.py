"""Findings with their reviews as CSV and JSON, each file whole or not there."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ctscreener.findings import NOTICE, Finding, FindingSettings
from ctscreener.rarity_text import COUNTED
from ctscreener.texts import cell
from ctscreener.whole_file import whole_file

if TYPE_CHECKING:
    from ScreenerSlicerLib.scene.place import Place

FORMAT, FORMAT_VERSION = "screener.reviewed-findings", 1


class Reviewed(Protocol):
    """A finding and what its reader made of it: a row of the findings table is one."""

    @property
    def finding(self) -> Finding:
        """What was measured; its places are in the volume's own frame."""
        ...

    @property
    def place(self) -> "Place | None":
        """Side and level, where they are known."""
        ...

    @property
    def verdict(self) -> str:
        """`accepted`, `rejected`, `unsure`, or nothing as long as nothing was decided."""
        ...

    @property
    def comment(self) -> str:
        """The reader's words."""
        ...


def write_tables(
    path: Path,
    rows: Sequence[Reviewed],
    settings: FindingSettings,
    provenance: Mapping[str, Any],
    found: int = 0,
) -> list[Path]:
    """Write both tables, replacing older ones.

    Arguments:
        path: Where to, of any ending: the tables get `.csv` and `.json` in its place.
        rows: In the order of the list.
        settings: What these findings were found with, perhaps with another threshold than the
            run's.
        provenance: Model, hashes, device and parameters, as the run gave them.
        found: How many findings there are, listed or not; 0 where that is not known.

    Returns:
        The two files.

    Raises:
        InputError: `output.disk_full` or `output.unwritable`; an older file then stays.
    """
    texts = {
        # With a mark at its start: spreadsheets would else misread letters beyond ASCII.
        path.with_suffix(".csv"): ("utf-8-sig", to_csv(rows, settings, provenance, found)),
        path.with_suffix(".json"): ("utf-8", to_json(rows, settings, provenance, found)),
    }
    for file, (encoding, text) in texts.items():
        with whole_file(file) as part:
            part.write_text(text, encoding=encoding, newline="")
    return list(texts)


def to_csv(
    rows: Sequence[Reviewed],
    settings: FindingSettings,
    provenance: Mapping[str, Any],
    found: int = 0,
) -> str:
    """Write one finding a line; every line says what made it, since lines get copied.

    Arguments:
        rows: In the order of the list.
        settings: As in `write_tables`.
        provenance: As in `write_tables`.
        found: As in `write_tables`.
    """
    model = provenance.get("model", {})
    origin = {
        "threshold_log10": settings.threshold,
        "min_volume_ml": settings.min_volume_ml,
        "found": _known(found, rows),
        "model": cell(str(model.get("name", ""))),
        "weights_sha256": model.get("weights_sha256", ""),
        "rarity_counted_up_to_log10": model.get(COUNTED, ""),
        "notice": NOTICE,
    }
    names = ["rank", "verdict", "comment", "side", "level", "peak_rarity_log10"]
    names += ["mean_rarity_log10", "volume_ml", "diameter_mm", "mean_hu"]
    names += ["peak_right_mm", "peak_anterior_mm", "peak_superior_mm", "voxels", *origin]
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\r\n")
    table.writerow(names)
    for row in rows:
        one = row.finding
        words = [row.verdict, cell(row.comment)]
        words += [row.place.side, row.place.level] if row.place else ["", ""]
        measured = (one.peak_rarity, one.mean_rarity, one.volume_ml, one.diameter_mm)
        numbers = [f"{x:.4f}" for x in (*measured, one.mean_hu, *one.peak_ras)]
        table.writerow([one.rank, *words, *numbers, one.voxels, *origin.values()])
    return text.getvalue()


def to_json(
    rows: Sequence[Reviewed],
    settings: FindingSettings,
    provenance: Mapping[str, Any],
    found: int = 0,
) -> str:
    """Write findings, reviews and provenance as strict JSON.

    Arguments:
        rows: In the order of the list.
        settings: As in `write_tables`.
        provenance: As in `write_tables`.
        found: As in `write_tables`.

    Raises:
        ValueError: A number is not finite.
    """
    data = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "notice": NOTICE,
        "provenance": dict(provenance),
        "found_with": asdict(settings),
        "found": _known(found, rows),
        "findings": [
            {
                **asdict(row.finding),
                "place": asdict(row.place) if row.place else None,
                "verdict": row.verdict,
                "comment": row.comment,
            }
            for row in rows
        ],
    }
    return json.dumps(data, indent=2, allow_nan=False, ensure_ascii=False) + "\n"


def _known(found: int, rows: Sequence[Reviewed]) -> int | None:
    """How many findings there are; scenes of before do not say."""
    return found if found >= len(rows) else None
