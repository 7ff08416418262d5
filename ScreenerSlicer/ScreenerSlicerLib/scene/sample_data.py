"""The sample: a CT drawn by a program, with a lung nodule and a liver tumour; of no patient."""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path

import slicer
import slicer.util

from ScreenerSlicerLib.translation import tr as _

HERE = Path(__file__).resolve().parents[2]
FILE = "sample_phantom.nrrd"
CHECKSUM = "SHA256:00da93042e1df7ce4e71e795ab00912466e60d7cb40e6f88b2d9cb11b7d8e67a"
# Beside the module where it is installed, in the repository where it is not.
PLACES = (HERE / "Resources" / "SampleData" / FILE, HERE.parent / "Resources" / FILE)
THUMBNAIL = HERE / "Resources" / "Icons" / "ScreenerSlicerSample.png"
CATEGORY = "Screener"


def sample_file() -> Path | None:
    """Find the file of the sample; None where it was not installed."""
    return next((place for place in PLACES if place.is_file()), None)


def load_sample() -> slicer.vtkMRMLScalarVolumeNode:
    """Load the sample into the scene.

    Raises:
        RuntimeError: There is no file, or it cannot be read.
    """
    file = sample_file()
    if file is None:
        raise RuntimeError(_("The sample was not installed with this module."))
    return slicer.util.loadVolume(str(file), {"name": _name()})


def register_sample() -> None:
    """Offer the sample in Slicer's module Sample Data, where that module is."""
    file = sample_file()
    if file is None or importlib.util.find_spec("SampleData") is None:
        return
    logic = importlib.import_module("SampleData").SampleDataLogic
    logic.registerCustomSampleDataSource(
        category=CATEGORY,
        sampleName=_name(),
        uris=file.as_uri(),
        fileNames=FILE,
        checksums=CHECKSUM,
        nodeNames=_name(),
        thumbnailFileName=str(THUMBNAIL),
    )


def _name() -> str:
    return _("Screener sample phantom")
