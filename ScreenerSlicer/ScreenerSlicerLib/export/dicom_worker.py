"""Makes a DICOM object in a process of its own: `python -m ... work.json values.npy result.dcm`.

It writes one JSON object a line on stdout, as the engine does: where it is, then `result` or `error`.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ctscreener.errors import InputError
from ctscreener.events import reporter
from ctscreener.findings import Finding
from ctscreener.reporter import Reporter
from ScreenerSlicerLib.export.dicom import write_rarity_map, write_regions
from ScreenerSlicerLib.scene.regions import regions_of
from ScreenerSlicerLib.translation import tr as _


def main(argv: Sequence[str] | None = None) -> int:
    """Make one object; returns 0, or 2 where it cannot be made."""
    work, values, result = map(Path, sys.argv[1:] if argv is None else argv)
    with reporter(events=True) as report:
        try:
            _make(json.loads(work.read_text(encoding="utf-8")), values, result, report)
        except InputError as error:
            report.refused(error)
            return 2
        except (AttributeError, KeyError, TypeError, ValueError) as failure:
            # What highdicom and pydicom raise over headers that the standard does not know.
            report.refused(_refused(failure))
            return 2
        report.result("dicom", Path(), {}, reused=False)
    return 0


def _make(job: dict[str, Any], values: Path, result: Path, report: Reporter) -> None:
    source = [Path(file) for file in job["source"]]
    affine, provenance = np.array(job["affine"]), job["provenance"]
    given = np.load(values, mmap_mode="r", allow_pickle=False)
    if "findings" not in job:
        write_rarity_map(result, source, given, affine, provenance, report.progress)
        return
    found = [_finding(row) for row in job["findings"]]
    regions = regions_of(found, given, job["threshold"])
    write_regions(result, source, regions, given.shape, affine, provenance, report.progress)


def _finding(row: dict[str, Any]) -> Finding:
    plain: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in row.items()
    }
    return Finding(**plain)


def _refused(failure: Exception) -> InputError:
    what = " ".join(f"{type(failure).__name__}: {failure}".split())
    expected = _("Expected DICOM headers from which an object can be made, found: {what}.")
    return InputError(
        "dicom.headers",
        expected.format(what=what),
        _("Save the map as NRRD instead, or send the report to the developers."),
    )


if __name__ == "__main__":
    sys.exit(main())
