"""What Screener needs in Slicer's Python: the install assistant, and a report to copy."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Protocol, final

import slicer
import slicer.util

from ScreenerSlicerLib.install.assistant import DICOM_PACKAGES, Assistant, Outcome
from ScreenerSlicerLib.install.causes import JobError
from ScreenerSlicerLib.install.diagnosis import report
from ScreenerSlicerLib.preflight.hardware import Hardware
from ScreenerSlicerLib.preflight.models import BUNDLED, ModelFolder, user_folder
from ScreenerSlicerLib.process.job_maker import JobMaker, slicer_python
from ScreenerSlicerLib.screening import Screening
from ScreenerSlicerLib.translation import tr as _


class InstallationLogic(Protocol):
    """What this part of the panel asks of the module's logic."""

    jobs: JobMaker

    def assistant(self, packages: tuple[str, ...] | None = None) -> Assistant:
        """Return the install assistant, for screening or for some packages."""
        ...


class Logic(InstallationLogic, Protocol):
    """What the whole panel asks of the module's logic."""

    screening: Screening


@final
class InstallationPanel:
    """Installs what is missing when asked to, and tells what is there.

    Arguments:
        ui: The widgets by their names.
        logic: Returns the module's logic.
        hardware: Returns what the machine offers; None before that is known.
        model: Returns the model that is chosen; None where there is none.

    Attributes:
        error: What the last run failed of, for the report.
    """

    def __init__(
        self,
        ui: SimpleNamespace,
        logic: Callable[[], InstallationLogic],
        hardware: Callable[[], Hardware | None],
        model: Callable[[], ModelFolder | None],
    ) -> None:
        self._ui = ui
        self._logic = logic
        self._hardware = hardware
        self._model = model
        self.error: JobError | None = None
        ui.installPackagesButton.connect("clicked()", self.complete)
        ui.checkButton.connect("clicked()", self.check)
        ui.copyButton.connect("clicked()", self._copy)

    @property
    def message(self) -> str:
        """How the last installation ended."""
        return self._ui.installLabel.text

    def complete(self) -> bool:
        """Install what screening lacks, after a question; true where nothing is missing then.

        The weights that the chosen model names are a question of their own.
        """
        if not self._install(self._logic().assistant()):
            return False
        model = self._model()
        if model is None or not model.problem or not model.packages:
            return True
        return self._install(self._logic().assistant(model.packages))

    def complete_dicom(self) -> bool:
        """Install what the export to DICOM lacks, after a question."""
        return self._install(self._logic().assistant(DICOM_PACKAGES))

    def _install(self, assistant: Assistant) -> bool:
        hardware = self._hardware()
        outcome = assistant.install(bool(hardware and hardware.gpus))
        self._ui.installLabel.text = outcome_text(outcome)
        return outcome.state == "done"

    def check(self) -> None:
        """Show what is missing, and the report."""
        missing = self._logic().assistant().missing()
        said = (
            _("Missing: {names}").format(names=", ".join(missing))
            if missing
            else _("Everything that Screener needs is installed.")
        )
        self._ui.installLabel.text = " ".join(filter(None, [said, self._damage()]))
        self._ui.reportText.plainText = self._report()

    def _damage(self) -> str:
        """Say what is wrong with the weights of the model that is chosen; nothing if whole."""
        model = self._model()
        if model is None or model.problem:
            return ""
        with slicer.util.WaitCursor():
            damage = model.damage()
        found = _("The model {name} cannot be used: {problem}.")
        return found.format(name=model.name, problem=damage) if damage else ""

    def _report(self) -> str:
        folders = {
            "Bundled models": BUNDLED,
            "Models of the user": user_folder(),
            "Python": Path(slicer_python()[0]),
            "Temporary files": Path(slicer.app.temporaryPath),
        }
        lines = self._logic().jobs.log_lines()
        return report(self._hardware(), folders, lines, self.error, slicer.app.applicationVersion)

    def _copy(self) -> None:
        self.check()
        slicer.app.clipboard().setText(self._ui.reportText.plainText)


def resume(assistant: Assistant) -> None:
    """Go on with an installation that waited for a restart, and say how it ended."""
    outcome = assistant.resume()
    if outcome is None:
        return
    if outcome.state == "failed":
        slicer.util.errorDisplay(outcome_text(outcome), windowTitle=_("Screener"))
    else:
        slicer.util.infoDisplay(outcome_text(outcome), windowTitle=_("Screener"))


def outcome_text(outcome: Outcome) -> str:
    """Write how an installation ended."""
    if outcome.error is not None:
        return str(outcome.error)
    return {
        "done": _("Everything that Screener needs is installed."),
        "declined": _("Nothing was installed. Screener needs these packages to screen."),
        "restart": _("Restart Slicer; the installation goes on by itself afterwards."),
    }[outcome.state]
