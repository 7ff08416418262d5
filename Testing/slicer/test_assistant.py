"""The install assistant: one question, the right helper, and nothing of Slicer's replaced."""

import os
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import final
from urllib.request import url2pathname

import pytest

from ScreenerSlicerLib.install.assistant import (
    DICOM_PACKAGES,
    PACKAGES,
    PENDING,
    TORCH,
    Assistant,
    Tools,
)
from ScreenerSlicerLib.install.versions import SHIPPED, constraints
from ScreenerSlicerLib.preflight.models import ENCODER_PACKAGES

SLICER = {"numpy": "2.0.2", "scipy": "1.13.1", "SimpleITK": "2.4.0", "pydicom": "2.4.4"}


@final
class Machine:
    """A Slicer whose packages are a dictionary, and that remembers what was asked of it."""

    def __init__(self, **installed: str) -> None:
        self.versions = {**SLICER, **{k.replace("_", "-"): v for k, v in installed.items()}}
        self.settings: dict[str, str] = {}
        self.asked: list[str] = []
        self.done: list[str] = []
        self.held = ""
        self.answer = True
        self.extension = True
        self.extension_installs = True
        self.brings: dict[str, str] = {}
        self.breaks: Exception | None = None

    def confirm(self, title: str, text: str) -> bool:
        """Be asked."""
        assert title.startswith("Screener")
        self.asked.append(text)
        return self.answer

    def install_torch(self, requirement: str) -> None:
        """Install PyTorch, and whatever else comes with it."""
        self.done.append(f"torch{requirement}")
        if self.breaks:
            raise self.breaks
        self.versions |= {"torch": "2.8.0+cu128", **self.brings}

    def install_extension(self) -> bool:
        """Install the extension, which Slicer knows after a restart."""
        assert self.settings[PENDING] == "1", "the marker comes first"
        self.done.append("extension")
        return self.extension_installs

    def install_packages(self, packages: Sequence[str], held: Path) -> None:
        """Install packages."""
        self.done += packages
        self.held = held.read_text()
        for one in packages:
            name, version = re.split(">=|==", one)
            self.versions[name] = version

    def assistant(self) -> Assistant:
        """An assistant that works on this machine."""
        return Assistant(
            Tools(
                version=self.versions.get,
                confirm=self.confirm,
                install_torch=self.install_torch,
                has_extension=lambda: self.extension,
                install_extension=self.install_extension,
                install_packages=self.install_packages,
                restart=lambda: self.done.append("restart"),
                settings=self.settings,
                free_bytes=lambda: 50e9,
            )
        )


ALL = {"torch": "2.6.0+cpu", "scikit_image": "0.25.0", "safetensors": "0.5", "platformdirs": "4.3"}


def test_what_is_there_is_not_asked_for() -> None:
    machine = Machine(**ALL)
    assert machine.assistant().missing() == []
    assert machine.assistant().install().state == "done"
    assert (machine.asked, machine.done) == ([], [])


def test_what_is_too_old_is_missing() -> None:
    machine = Machine(**ALL | {"torch": "2.5.1+cpu", "safetensors": "0.10.0"})
    assert machine.assistant().missing() == [TORCH]


def test_one_question_lists_everything_and_its_size() -> None:
    machine = Machine()
    question = machine.assistant().question(gpu=True)
    for one in (TORCH, *PACKAGES, "7.2 GB on the disk", "50.0 GB are free"):
        assert one in question
    assert "extension" not in question
    assert "1.4 GB" in machine.assistant().question(gpu=False) or "1.3 GB" in (
        machine.assistant().question(gpu=False)
    )
    machine.extension = False
    assert "restarts once" in machine.assistant().question(gpu=False)


def test_no_is_no() -> None:
    machine = Machine()
    machine.answer = False
    assert machine.assistant().install().state == "declined"
    assert machine.done == []
    assert len(machine.asked) == 1


def test_yes_installs_torch_by_its_extension_and_the_rest_held_to_what_slicer_has() -> None:
    machine = Machine(platformdirs="4.3")
    outcome = machine.assistant().install()
    assert outcome.state == "done"
    assert machine.done == ["torch>=2.6", "scikit-image>=0.24", "safetensors>=0.4"]
    assert len(machine.asked) == 1
    for name, version in SLICER.items():
        assert f"{name}=={version}\n" in machine.held


def test_a_replaced_package_of_slicer_is_a_failure() -> None:
    machine = Machine()
    machine.brings = {"numpy": "1.26.4"}
    outcome = machine.assistant().install()
    assert outcome.state == "failed"
    assert outcome.error is not None
    assert outcome.error.code == "install.replaced"
    assert "numpy 2.0.2 -> 1.26.4" in outcome.error.message


def test_without_the_extension_it_comes_first_and_the_rest_after_a_restart() -> None:
    machine = Machine()
    machine.extension = False
    assert machine.assistant().install().state == "restart"
    assert machine.done == ["extension", "restart"]
    assert machine.assistant().is_pending()
    assert len(machine.asked) == 2
    # Slicer has restarted.
    machine.extension = True
    after = machine.assistant()
    outcome = after.resume()
    assert outcome is not None
    assert outcome.state == "done"
    assert len(machine.asked) == 2, "the user has agreed before"
    assert not after.is_pending()
    assert after.resume() is None


def test_a_restart_that_is_put_off_is_not_forced() -> None:
    machine = Machine()
    machine.extension = False
    answers = iter([True, False])
    assistant = machine.assistant()
    machine.confirm = lambda *_: next(answers)  # pyright: ignore[reportAttributeAccessIssue]
    assistant = machine.assistant()
    assert assistant.install().state == "restart"
    assert machine.done == ["extension"]
    assert assistant.is_pending()


def test_an_extension_that_cannot_be_installed_is_told_and_not_tried_for_ever() -> None:
    machine = Machine()
    machine.extension = machine.extension_installs = False
    outcome = machine.assistant().install()
    assert outcome.error is not None
    assert outcome.error.code == "install.extension"
    assert not machine.assistant().is_pending()
    machine.settings[PENDING] = "1"
    resumed = machine.assistant().resume()
    assert resumed is not None
    assert resumed.error is not None
    assert resumed.error.code == "install.extension"
    assert machine.assistant().resume() is None


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (RuntimeError("SSLError: CERTIFICATE_VERIFY_FAILED"), "install.ssl"),
        (OSError(28, "No space left on device"), "output.disk_full"),
        (PermissionError(13, "Permission denied"), "install.permission"),
        (ImportError("No module named 'PyTorchUtils'"), "install.extension"),
        (subprocess.CalledProcessError(1, "pip install"), "install.failed"),
    ],
)
def test_a_failure_leads_to_an_action(failure: Exception, code: str) -> None:
    machine = Machine()
    machine.breaks = failure
    outcome = machine.assistant().install()
    assert outcome.state == "failed"
    assert outcome.error is not None
    assert outcome.error.code == code
    assert outcome.error.action


def test_helpers_that_did_nothing_are_noticed() -> None:
    machine = Machine()
    assistant = machine.assistant()
    machine.versions = machine.versions.copy()
    outcome = assistant.install()
    assert outcome.error is not None
    assert outcome.error.code == "install.incomplete"


def test_dicom_needs_no_torch() -> None:
    machine = Machine()
    tools = machine.assistant()._tools
    assert Assistant(tools, DICOM_PACKAGES, torch="").missing() == list(DICOM_PACKAGES)


def test_weights_of_an_encoder_are_asked_for_with_their_size_and_never_fetched_unasked() -> None:
    machine = Machine()
    tools = machine.assistant()._tools
    assistant = Assistant(tools, ENCODER_PACKAGES, torch="")
    assert assistant.missing() == list(ENCODER_PACKAGES)
    machine.answer = False
    assert assistant.install().state == "declined"
    assert machine.done == []
    (question,) = machine.asked
    assert "about 190 MB" in question
    assert all(one in question for one in ENCODER_PACKAGES)
    machine.answer = True
    assert assistant.install().state == "done"
    assert machine.done == list(ENCODER_PACKAGES)
    # Another version would be other weights.
    machine.versions[ENCODER_PACKAGES[0].split("==")[0]] = "0.2.0"
    assert assistant.missing() == [ENCODER_PACKAGES[0]]
    # Screening with other models asks for none of them.
    assert not set(machine.assistant().missing()) & set(ENCODER_PACKAGES)


def test_nothing_that_is_asked_for_is_slicers_own() -> None:
    asked = {re.split("[><=]", one)[0] for one in (TORCH, *PACKAGES)}
    assert not asked & set(SHIPPED)


def test_slicers_packages_are_held_while_pytorch_is_installed_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """PyTorchUtils takes no constraints of ours; pip reads them from its environment."""
    monkeypatch.setenv("PIP_CONSTRAINT", "https://example.org/own.txt")
    machine = Machine()
    seen: list[str] = []

    def install(requirement: str) -> None:
        own, ours = os.environ["PIP_CONSTRAINT"].split(" ")
        assert own == "https://example.org/own.txt"
        seen.append(Path(url2pathname(ours.removeprefix("file://"))).read_text())
        machine.versions["torch"] = "2.8.0"

    machine.install_torch = install  # pyright: ignore[reportAttributeAccessIssue]
    assert machine.assistant().install().state == "done"
    assert seen == [constraints(SLICER)]
    assert os.environ["PIP_CONSTRAINT"] == "https://example.org/own.txt"
