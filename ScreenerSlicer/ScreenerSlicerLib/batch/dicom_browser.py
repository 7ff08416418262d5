"""The series that are selected in Slicer's DICOM browser."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from ScreenerSlicerLib.batch.sources import SeriesSource
from ScreenerSlicerLib.translation import tr as _

CT = "CT"


class Database(Protocol):
    """What is asked of `slicer.dicomDatabase`."""

    @property
    def isOpen(self) -> bool:
        """Whether it can be asked at all."""
        ...

    def filesForSeries(self, series: str) -> Sequence[str]:
        """Return the paths of a series."""
        ...

    def instancesForSeries(self, series: str) -> Sequence[str]:
        """Return the UIDs of its files."""
        ...

    def fieldForSeries(self, field: str, series: str) -> str:
        """Return a column of a series."""
        ...


def selected_series(browser: Any) -> list[str]:  # noqa: ANN401 (Slicer's own)
    """Return what is selected.

    Arguments:
        browser: `slicer.modules.DICOMInstance.browserWidget`, or None before it was ever opened.
    """
    if browser is None:
        return []
    visual = getattr(browser, "dicomVisualBrowser", None)
    if visual is not None and visual.visible and hasattr(visual, "patientView"):
        return list(visual.patientView().selectedSeriesInstanceUIDs())
    return list(browser.dicomBrowser.dicomTableManager().currentSeriesSelection())


def series_sources(database: Database | None, series: Sequence[str]) -> list[SeriesSource]:
    """Find the CTs among series; what is none is passed over.

    Arguments:
        database: Slicer's; None where there is none, and it may be closed.
        series: Their instance UIDs.
    """
    if database is None or not database.isOpen:
        return []
    return [
        SeriesSource(
            _named(database, uid),
            tuple(map(Path, database.filesForSeries(uid))),
            tuple(database.instancesForSeries(uid)),
        )
        for uid in series
        if database.fieldForSeries("Modality", uid) == CT
    ]


def _named(database: Database, series: str) -> str:
    """Name a series as the browser does: no patient stands in the name of a folder."""
    number = database.fieldForSeries("SeriesNumber", series)
    described = database.fieldForSeries("SeriesDescription", series)
    return " ".join(filter(None, [number, described])) or _("series")
