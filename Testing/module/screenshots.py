"""Photographs the module at work on the sample phantom, in the test host.

    python Testing/module/screenshots.py [--out Resources/Screenshots]

The bundled model screens the phantom, which takes a minute or two. Every picture says that it was
made by the test host; no picture is ever made of a patient's scan.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "ScreenerSlicer")]

from ScreenerSlicerLib.process.job_maker import ENGINE
from ScreenerSlicerLib.scene.sample_data import load_sample
from Testing.host.application import Application
from Testing.host.picture import GAP
from Testing.module.opened import Opened

VIEW = (420, 420)
PANEL = 460
THRESHOLDS = (3.0, 2.5, 2.0, 1.5)
NAMES = ("scan", "progress", "findings", "side_by_side", "keep", "meaning")
LONGEST_SECONDS = 900.0
VOLUME = 2
"""The column of volumes."""


def photograph(opened: Opened, path: Path) -> None:
    """Save a picture of panel and views, the panel as high as what is in it."""
    frame = opened.widget.parent
    opened.host.app.processEvents()
    # A panel that was higher before keeps its height otherwise.
    frame.resize(PANEL, 1)
    opened.host.app.processEvents()
    frame.resize(PANEL, max(2 * VIEW[1] + GAP, frame.heightForWidth(PANEL)))
    opened.host.app.processEvents()
    # A palette: a quarter of the bytes, which every clone carries for every picture ever taken.
    few = opened.host.picture().quantize(256, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    few.save(path, optimize=True)


def fold(opened: Opened, shown: tuple[str, ...]) -> None:
    """Leave some sections of the panel open, and fold the others away."""
    names = ("scan", "heatMap", "findings", "export", "model", "installation", "about")
    for name in names:
        getattr(opened.ui, f"{name}Button").collapsed = name not in shown


def take_all(opened: Opened, folder: Path) -> None:
    """Screen the sample phantom, and take every picture on the way.

    Arguments:
        opened: The module, with views.
        folder: Where the pictures go.
    """
    host, ui = opened.host, opened.ui
    folder.mkdir(parents=True, exist_ok=True)
    # As from a file: the panel's own button would screen it at once.
    ui.inputSelector.setCurrentNode(load_sample())
    fold(opened, ("scan",))
    photograph(opened, folder / "scan.png")

    opened.start()
    # A stub on a fast machine may be done before a tile is seen.
    screening = opened.widget.logic.screening
    host.wait(lambda: " of " in ui.progressLabel.text or not screening.busy, LONGEST_SECONDS)
    host.wait(lambda: ui.progressBar.value > 40 or not screening.busy, LONGEST_SECONDS)
    photograph(opened, folder / "progress.png")
    opened.wait_for_end(LONGEST_SECONDS)

    lower_until_something_is_found(opened)
    fold(opened, ("heatMap", "findings"))
    # The largest: the rarest of the sample is a false one.
    ui.findingsTable.horizontalHeader().sectionClicked.emit(VOLUME)
    opened.click_row(0)
    host.click(ui.renderBox)
    three_d = host.scene.views.three_d.node
    three_d.SetBoxVisible(False)
    three_d.SetAxisLabelsVisible(False)
    photograph(opened, folder / "findings.png")
    fold(opened, ("heatMap",))
    host.click(ui.renderBox)
    host.click(ui.sideBySideBox)
    photograph(opened, folder / "side_by_side.png")
    host.click(ui.sideBySideBox)

    fold(opened, ("findings", "export"))
    host.click(ui.acceptButton)
    host.write(ui.commentEdit, "An example of a comment")
    with tempfile.TemporaryDirectory(prefix="findings-") as kept:
        ui.folderEdit.currentPath = kept
        host.click(ui.segmentsButton)
        host.click(ui.tablesButton)
        opened.result.segmentation_node.CreateClosedSurfaceRepresentation()
        show_in_3d(opened)
        photograph(opened, folder / "keep.png")

    fold(opened, ("model", "about"))
    photograph(opened, folder / "meaning.png")


def show_in_3d(opened: Opened) -> None:
    """Turn the 3D view towards the segments, with the slices around them."""
    views = opened.host.scene.views
    views.three_d.node.SetBoxVisible(False)
    views.three_d.node.SetAxisLabelsVisible(False)
    for view in views.slices.values():
        view.node.SetSliceVisible(True)
    bounds = [0.0] * 6
    opened.ui.inputSelector.currentNode().GetRASBounds(bounds)
    middle = [(low + high) / 2 for low, high in zip(bounds[::2], bounds[1::2], strict=True)]
    # From the patient's left in front, where the cut through a finding on the right is seen.
    views.three_d.look_from((-1.5, 2.0, 0.8), middle, bounds)


def lower_until_something_is_found(opened: Opened) -> None:
    """Move the threshold down in steps until the list has an entry."""
    for threshold in THRESHOLDS:
        opened.ui.thresholdSlider.value = threshold
        settled = opened.result.table
        opened.host.wait(lambda table=settled, t=threshold: table.settings.threshold == t, 30)
        if opened.table():
            return
    raise RuntimeError("nothing is found in the sample, however low the threshold")


def main() -> None:
    """Take the pictures with the bundled model."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, default=ROOT / "Resources" / "Screenshots")
    folder = parser.parse_args().out
    with Application(size=VIEW) as host:
        take_all(Opened.in_host(host, ENGINE), folder)
    print(*sorted(folder.glob("*.png")), sep="\n")


if __name__ == "__main__":
    main()
