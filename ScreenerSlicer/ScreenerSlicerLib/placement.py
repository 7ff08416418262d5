"""The output of a run on its way into the scene: piece by piece, so that the window never waits.

One piece is what a turn of the event loop has time for. What takes longer on a large map, which
finding an earlier review belongs to, is done by a thread meanwhile.
"""

from __future__ import annotations

from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor, wait
from typing import final

import slicer

from ScreenerSlicerLib.process.job import GIVE_WAY_SECONDS
from ScreenerSlicerLib.process.screen_job import ScreenOutput, ScreenRequest
from ScreenerSlicerLib.result import ScreenResult
from ScreenerSlicerLib.scene.body_parts import keep_parts
from ScreenerSlicerLib.scene.reviews import brought_over
from ScreenerSlicerLib.scene.slicer_logics import Logics
from ScreenerSlicerLib.scene.volume import affine_of


@final
class Taking:
    """Puts an output into the scene, beside earlier results of the same scan or in their place.

    Arguments:
        scene: Where to.
        logics: Slicer's logics on that scene.
        scan_node: The scan, as it was when the run began.
        output: What the run found.
        request: How it was screened.

    Attributes:
        result: What is in the scene; complete once `step` has returned false.
    """

    def __init__(
        self,
        scene: slicer.vtkMRMLScene,
        logics: Logics,
        scan_node: slicer.vtkMRMLScalarVolumeNode,
        output: ScreenOutput,
        request: ScreenRequest,
    ) -> None:
        self._scene = scene
        self._logics = logics
        self._scan_node = scan_node
        self._output = output
        self._request = request
        self._pieces = self._work()
        self.result: ScreenResult | None = None

    def step(self) -> bool:
        """Do the next piece; returns whether there is another."""
        return next(self._pieces, False)

    def undo(self) -> None:
        """Take out again what was put into the scene; earlier results are as they were."""
        self._pieces.close()
        if self.result is not None and self.result.map_node.GetScene() is self._scene:
            self.result.remove()

    def _work(self) -> Generator[bool, None, None]:
        """Go from piece to piece; the earlier results go last, all at once."""
        grid = affine_of(self._scan_node)
        settings = self._request.findings
        findings, rarity = self._output.findings, self._output.rarity
        found = ScreenResult.all_in(self._scene, self._logics)
        # The last word on a finding is the one that counts.
        earlier = [one for one in reversed(found) if one.scan_node is self._scan_node]
        said = [one.table.reviews_on(grid) for one in earlier]
        thread = ThreadPoolExecutor(1, "screener reviews")
        reviews = thread.submit(brought_over, said, findings, rarity, settings.threshold)
        thread.shutdown(wait=False)
        yield True
        leaving = [] if self._request.keep_earlier else earlier
        result = self.result = ScreenResult.create(
            self._scene,
            self._logics,
            self._scan_node,
            rarity,
            self._output.provenance,
            [one.map_node for one in leaving],
        )
        yield True
        keep_parts(result.map_node, self._output.parts)
        result.heat_map.set_threshold(settings.threshold)
        places = result.places_of(findings)
        yield True
        # Waiting gives Python's lock up; nothing else in Slicer's main thread does.
        while wait([reviews], GIVE_WAY_SECONDS).not_done:
            yield True
        beyond = self._output.beyond
        result.table.put(findings, places, grid, settings, reviews.result(), beyond)
        yield True
        result.heat_map.show(self._scan_node)
        yield True
        result.heat_map.legend(True)
        yield True
        if leaving:
            result.take_place_of(leaving)
