"""The result of a scan of a batch, read again to be looked at.

No MRML here: a thread reads the files, so that the window goes on meanwhile.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np

from ctscreener.errors import InputError
from ctscreener.scan import Scan
from ScreenerSlicerLib.process.job import GIVE_WAY_SECONDS
from ScreenerSlicerLib.process.run import Cancelled
from ScreenerSlicerLib.process.screen_job import ScreenOutput, ScreenRequest, output_in
from ScreenerSlicerLib.scene.findings_content import MOST_BEFORE
from ScreenerSlicerLib.translation import tr as _


@dataclass(frozen=True)
class Reopened:
    """What was read.

    Arguments:
        scan: The scan, in 16 bits where these hold its values.
        output: What was found in it.
        request: With which threshold, smallest volume and most findings.
    """

    scan: Scan
    output: ScreenOutput
    request: ScreenRequest


@final
class Reopening:
    """Reads a scan and its result folder, from now on.

    Arguments:
        read_scan: Reads the scan; called in a thread.
        folder: The result folder.
    """

    def __init__(self, read_scan: Callable[[], Scan], folder: Path) -> None:
        self._read_scan = read_scan
        self._folder = folder
        self._stop = False
        thread = ThreadPoolExecutor(1, "screener reopening")
        self._read = thread.submit(self._run)
        thread.shutdown(wait=False)

    def poll(self) -> Reopened | None:
        """Return what was read, None while there is more; call it ten times a second.

        Raises:
            InputError: Scan or result cannot be read, or the scan is not the one that was screened.
        """
        # Waiting gives Python's lock up; nothing else in Slicer's main thread does.
        return None if wait([self._read], GIVE_WAY_SECONDS).not_done else self._read.result()

    def close(self) -> None:
        """End it soon, and drop what it has read."""
        self._stop = True

    def _check(self) -> None:
        if self._stop:
            raise Cancelled

    def _run(self) -> Reopened:
        try:
            record = json.loads((self._folder / "findings.json").read_text(encoding="utf-8"))
            parameters = record["provenance"]["parameters"]
            asked = parameters["findings"]
            every = bool(parameters.get("all_parts"))
            request = ScreenRequest(
                threshold=float(asked["threshold"]),
                min_volume_ml=float(asked["min_volume_ml"]),
                all_parts=every,
                most=int(asked.get("most", MOST_BEFORE)),
            )
            scan = _small(self._read_scan())
            output = output_in(self._folder, record, scan, every, self._check)
        except (OSError, ValueError, KeyError, TypeError) as error:
            unreadable = _("Expected a result in {folder}, found {error}.")
            raise InputError(
                "result.unreadable",
                unreadable.format(folder=self._folder, error=error or repr(error)),
                _("Screen the volume again."),
            ) from error
        return Reopened(scan, output, request)


def _small(scan: Scan) -> Scan:
    """A scan in 16 bits, as Slicer itself holds a CT, where these hold its values."""
    limits = np.iinfo(np.int16)
    whole = scan.hu.clip(limits.min, limits.max).astype(np.int16)
    return Scan(whole, scan.affine) if np.array_equal(whole, scan.hu) else scan
