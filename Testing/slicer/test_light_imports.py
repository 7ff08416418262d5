"""The parts that run before anything is installed, and in the child, need nothing but Slicer's."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import ScreenerSlicerLib

FOLDER = Path(ScreenerSlicerLib.__file__).parent
WITHOUT_SCENE = (
    *("process.child", "process.run", "process.run_log", "process.timeline", "process.job"),
    *("process.nrrd_file", "process.stub_worker", "preflight.card", "preflight.tile_count"),
    *("preflight.conditions", "preflight.estimate"),
    *("preflight.hardware", "preflight.probe", "preflight.models", "install.assistant"),
    *("install.slicer_packages", "install.versions", "install.diagnosis"),
    *("export.tables", "export.dicom_source"),
    *("export.dicom", "export.dicom_job", "export.dicom_worker", "process.screen_job"),
    *("export.report", "export.deposit", "scene.row"),
)
FORBIDDEN = {"torch", "skimage", "safetensors", "platformdirs", "pydicom", "highdicom"} | {
    *("qt", "ctk", "slicer", "vtk"),
}
SCRIPT = """
import importlib, sys
for name in sys.argv[1].split(","):
    importlib.import_module("ScreenerSlicerLib." + name)
print(*sorted(set(sys.argv[2].split(",")) & {name.partition(".")[0] for name in sys.modules}))
"""


def loaded_by(modules: Sequence[str], forbidden: set[str]) -> set[str]:
    """Import modules in a fresh Python; say what forbidden came with them."""
    command = [sys.executable, "-c", SCRIPT, ",".join(modules), ",".join(forbidden)]
    environment = {**os.environ, "PYTHONPATH": str(FOLDER.parent)}
    ended = subprocess.run(
        command, capture_output=True, text=True, check=True, env=environment, timeout=60
    )
    return set(ended.stdout.split())


def test_they_load_nothing_that_may_be_missing() -> None:
    assert all(
        FOLDER.joinpath(*name.split(".")).with_suffix(".py").is_file() for name in WITHOUT_SCENE
    )
    assert loaded_by(WITHOUT_SCENE, FORBIDDEN) == set()


def test_a_module_that_does_would_be_noticed() -> None:
    assert loaded_by(["install.diagnosis"], {"scipy", "torch"}) == {"scipy"}
