"""The module as a user has it open: what tests click and look at."""

from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Self, final

import numpy as np
import slicer
import slicer.util

from ScreenerSlicerLib.result import ScreenResult
from Testing.host.application import Application

if TYPE_CHECKING:
    from ScreenerSlicerLib.panel.parameters import ScreenerSlicerParameterNode

ROOT = Path(__file__).parents[2]
MODULE = ROOT / "ScreenerSlicer" / "ScreenerSlicer.py"
SHAPE = (64, 72, 80)


def torso() -> np.ndarray:
    """A block of tissue in air, int16, `SHAPE`; odd sides, so that the stub marks its inside."""
    voxels = np.full(SHAPE, -1000, np.int16)
    voxels[8:-9, 12:-13, 10:-10] = 40
    return voxels


@final
@dataclass(frozen=True)
class Opened:
    """The panel in its host.

    Arguments:
        host: The application.
        widget: The module's own widget object.
    """

    host: Application
    widget: Any

    @classmethod
    def in_host(cls, host: Application, worker: str) -> Self:
        """Load the module, let a worker stand for its engine, and open it."""
        widget = host.load(MODULE)
        one = cls(host, widget)
        one.use(worker)
        host.select(widget)
        host.wait(lambda: not widget.panel.is_probing)
        return one

    def use(self, worker: str) -> None:
        """Let a worker stand for the engine, with the variables of this moment."""
        self.widget.logic = type(self.widget.logic)(worker)

    @property
    def ui(self) -> SimpleNamespace:
        """The widgets by their names."""
        return self.widget.ui

    @property
    def parameters(self) -> "ScreenerSlicerParameterNode":
        """The parameter node."""
        return self.widget.parameters

    @property
    def result(self) -> ScreenResult:
        """The result that is worked with."""
        assert self.widget.logic.screening.result is not None
        return self.widget.logic.screening.result

    def add(self, values: np.ndarray, name: str = "CT") -> slicer.vtkMRMLScalarVolumeNode:
        """Add a volume, and choose it as a user does."""
        node = slicer.util.addVolumeFromArray(values, name=name)
        self.ui.inputSelector.setCurrentNode(node)
        return node

    def start(self) -> None:
        """Click the button."""
        self.host.click(self.ui.screenButton)

    def wait_for_end(self, seconds: float = 60.0) -> None:
        """Wait until the button says that nothing runs."""
        self.host.wait(lambda: self.ui.screenButton.text == "Screen volume", seconds)

    def screen(self) -> ScreenResult:
        """Screen what is chosen, to the end."""
        self.start()
        self.wait_for_end()
        return self.result

    def backgrounds(self) -> set[str]:
        """IDs of the volumes that the slice views show, under any map."""
        views = self.host.scene.views.slices.values()
        return {view.composite.GetBackgroundVolumeID() for view in views}

    def table(self) -> list[list[str]]:
        """What stands in the list of findings."""
        widget = self.ui.findingsTable
        columns, rows = range(widget.columnCount), range(widget.rowCount)
        return [[widget.item(row, column).text() for column in columns] for row in rows]

    def click_row(self, row: int) -> None:
        """Click a finding in the list."""
        table = self.ui.findingsTable
        table.setCurrentCell(row, 1)
        table.cellClicked.emit(row, 1)
        self.host.app.processEvents()
        self.host.raise_errors()
