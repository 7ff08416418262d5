"""Makes DICOM objects in a process of its own: `python -m ... work.json values.npy result`.

It writes one JSON object a line on stdout, as the engine does: where it is, then `result` or `error`.
"""

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ctscreener.errors import InputError
from ctscreener.events import reporter
from ctscreener.findings import FindingSettings
from ctscreener.reporter import Reporter
from ScreenerSlicerLib.export.dicom import rarity_map, save, segmentation
from ScreenerSlicerLib.export.dicom_source import read_source
from ScreenerSlicerLib.export.report import report as report_of
from ScreenerSlicerLib.scene.regions import regions_of
from ScreenerSlicerLib.scene.row import Row
from ScreenerSlicerLib.translation import tr as _

if TYPE_CHECKING:
    from pydicom import Dataset


def main(argv: Sequence[str] | None = None) -> int:
    """Make the objects; returns 0, or 2 where they cannot be made."""
    work, values, folder = map(Path, sys.argv[1:] if argv is None else argv)
    with reporter(events=True) as report:
        try:
            made = _make(json.loads(work.read_text(encoding="utf-8")), values, folder, report)
        except InputError as error:
            report.refused(error)
            return 2
        except (AttributeError, KeyError, TypeError, ValueError) as failure:
            # What highdicom and pydicom raise over headers that the standard does not know.
            report.refused(_refused(failure))
            return 2
        report.result("dicom", Path(), {"instances": made}, reused=False)
    return 0


def _make(job: dict[str, Any], values: Path, folder: Path, report: Reporter) -> dict[str, str]:
    """Make all objects, then write them; returns the SOP instance UID of each."""
    given = np.load(values, mmap_mode="r", allow_pickle=False)
    source = [Path(file) for file in job["source"]]
    headers = read_source(source, given.shape, np.array(job["affine"]), report.progress)
    kinds: list[str] = job["objects"]
    made: dict[str, Dataset] = {}
    for number, (kind, image) in enumerate(_objects(job, given, headers)):
        report.progress("building", number, len(kinds))
        made[kind] = image
    report.progress("building", 1, 1)
    folder.mkdir()
    for number, kind in enumerate(kinds):
        report.progress("writing", number, len(kinds))
        save(folder / f"{kind}.dcm", made[kind])
    report.progress("writing", 1, 1)
    return {kind: str(made[kind].SOPInstanceUID) for kind in kinds}


def _objects(
    job: dict[str, Any], rarity: np.ndarray, headers: "list[Dataset]"
) -> Iterator[tuple[str, "Dataset"]]:
    """Make one object after the other; a report needs the segments that it refers to."""
    affine, provenance = np.array(job["affine"]), job["provenance"]
    if "map" in job["objects"]:
        yield "map", rarity_map(headers, rarity, affine, provenance)
    if not {"segments", "report"} & set(job["objects"]):
        return
    rows = [Row.from_json(row) for row in job["rows"]]
    settings = FindingSettings(**job["settings"])
    regions = regions_of([row.finding for row in rows], rarity, settings.threshold)
    segments = segmentation(headers, regions, rarity.shape, affine, provenance)
    yield "segments", segments
    if "report" in job["objects"]:
        yield "report", report_of(headers, segments, rows, settings, provenance, job["found"])


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
