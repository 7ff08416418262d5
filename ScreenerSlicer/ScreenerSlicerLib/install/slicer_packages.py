"""Slicer's own ways to install packages and extensions, as the tools of the install assistant."""

import importlib
import importlib.metadata
import importlib.util
import shutil
import sys
from collections.abc import MutableMapping, Sequence
from pathlib import Path
from typing import Any

from ScreenerSlicerLib.install.assistant import EXTENSION, Tools
from ScreenerSlicerLib.install.diagnosis import installed_version


def slicer_tools(slicer: Any, settings: MutableMapping[str, str]) -> Tools:  # noqa: ANN401
    """Bring the tools of a running Slicer.

    Arguments:
        slicer: The module `slicer`, with its application.
        settings: Slicer's settings.
    """

    def install_torch(requirement: str) -> object:
        from PyTorchUtils import PyTorchUtilsLogic  # pyright: ignore[reportMissingImports]

        return PyTorchUtilsLogic().installTorch(
            askConfirmation=False, torchVersionRequirement=requirement
        )

    def install_extension() -> bool:
        manager = slicer.app.extensionsManagerModel()
        # No dialogs of its own, and the restart is ours. The manager is all of Slicer's.
        before = manager.interactive
        manager.interactive = False
        try:
            return bool(manager.installExtensionFromServer(EXTENSION, False))
        finally:
            manager.interactive = before

    return Tools(
        version=installed_version,
        confirm=lambda title, text: slicer.util.confirmYesNoDisplay(text, windowTitle=title),
        install_torch=install_torch,
        has_extension=lambda: importlib.util.find_spec("PyTorchUtils") is not None,
        install_extension=install_extension,
        install_packages=lambda packages, held: _pip(slicer, packages, held),
        restart=slicer.util.restart,
        settings=settings,
        free_bytes=lambda: float(shutil.disk_usage(sys.prefix).free),
    )


def _pip(slicer: Any, packages: Sequence[str], held: Path) -> None:  # noqa: ANN401
    """Install by Slicer's own helper, whichever this version has."""
    packaging = getattr(slicer, "packaging", None)
    if packaging is None and importlib.util.find_spec("slicer.packaging"):
        packaging = importlib.import_module("slicer.packaging")
    if packaging is None:
        slicer.util.pip_install(["-c", str(held), *packages])
        return
    packaging.pip_ensure(
        list(packages),
        constraints=held,
        requester="Screener",
        prompt_install=False,
        prompt_restart=False,
    )
