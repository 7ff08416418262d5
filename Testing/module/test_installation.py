"""Without PyTorch: one question, an installation, or a reason; and the choice of model and device."""

import importlib
import shutil
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import final

import pytest

from ctscreener.findings import NOTICE
from ScreenerSlicerLib.install.assistant import Tools
from ScreenerSlicerLib.preflight.hardware import Gpu, Hardware
from ScreenerSlicerLib.preflight.models import BUNDLED
from ScreenerSlicerLib.preflight.probe import Probe
from ScreenerSlicerLib.process.job_maker import ENGINE
from Testing.module.opened import Opened, torso

SHIPPED = {"numpy": "2.4.6", "scipy": "1.17.1", "scikit-image": "0.26", "safetensors": "0.8"}


@final
@dataclass
class FakePip:
    """Slicer's package helpers, which change nothing."""

    settings: MutableMapping[str, str]
    installed: dict[str, str] = field(default_factory=lambda: dict(SHIPPED))
    questions: list[str] = field(default_factory=list)
    answer: bool = True
    fails: str = ""

    def confirm(self, title: str, text: str) -> bool:
        """Remember the question."""
        self.questions.append(text)
        return self.answer

    def install_torch(self, requirement: str) -> None:
        """Install it, or fail."""
        if self.fails:
            raise RuntimeError(self.fails)
        self.installed["torch"] = "2.13.0"

    def install_packages(self, packages: list[str], held: Path) -> None:
        """Install them."""
        assert "numpy==2.4.6" in held.read_text()
        self.installed |= {one.partition(">=")[0]: "99" for one in packages}

    def tools(self) -> Tools:
        """What the assistant gets."""
        return Tools(
            version=self.installed.get,
            confirm=self.confirm,
            install_torch=self.install_torch,
            has_extension=lambda: True,
            install_extension=lambda: True,
            install_packages=self.install_packages,
            restart=lambda: None,
            settings=self.settings,
            free_bytes=lambda: 50e9,
        )


@pytest.fixture
def pip(opened: Opened) -> FakePip:
    """A Slicer without PyTorch and platformdirs."""
    pip = FakePip(opened.widget.panel.settings)
    opened.widget.logic = type(opened.widget.logic)(ENGINE, pip.tools())
    opened.add(torso())
    return pip


def test_declined_means_nothing_happens(opened: Opened, pip: FakePip) -> None:
    pip.answer = False
    opened.start()
    assert len(pip.questions) == 1
    assert "torch>=2.6" in pip.questions[0]
    assert not opened.widget.logic.screening.busy
    assert opened.ui.installLabel.text.startswith("Nothing was installed.")
    assert opened.ui.messageLabel.text == opened.ui.installLabel.text
    assert "torch" not in pip.installed


def test_a_failed_installation_says_what_to_do(opened: Opened, pip: FakePip) -> None:
    pip.fails = "SSLError: CERTIFICATE_VERIFY_FAILED"
    opened.start()
    assert "certificate" in opened.ui.messageLabel.text
    assert not opened.widget.logic.screening.busy
    assert opened.ui.screenButton.enabled


def test_once_all_is_there_nobody_is_asked(opened: Opened, pip: FakePip) -> None:
    opened.host.click(opened.ui.installationButton)
    opened.host.click(opened.ui.checkButton)
    assert opened.ui.installLabel.text == "Missing: torch>=2.6, platformdirs>=4"
    opened.host.click(opened.ui.installPackagesButton)
    assert opened.ui.installLabel.text == "Everything that Screener needs is installed."
    assert len(pip.questions) == 1
    opened.host.click(opened.ui.installPackagesButton)
    assert len(pip.questions) == 1


def test_the_report_is_copied_without_a_patients_name(opened: Opened, pip: FakePip) -> None:
    opened.add(torso(), "DOE^JOHN")
    opened.host.click(opened.ui.installationButton)
    opened.host.click(opened.ui.copyButton)
    text = opened.host.app.clipboard().text()
    assert text == opened.ui.reportText.plainText
    assert NOTICE in text
    assert "DOE" not in text
    assert "Memory:" in text


def test_the_first_run_asks_once_whether_the_notice_was_read(opened: Opened) -> None:
    opened.add(torso())
    opened.host.app.setTestingEnabled(False)
    # A dialog wants an event loop around it, which a click of the host has not.
    opened.host.answer("Cancel")
    opened.host.run(opened.ui.screenButton.click)
    assert not opened.widget.logic.screening.busy
    opened.host.answer("OK")
    opened.host.run(opened.ui.screenButton.click)
    opened.wait_for_end()
    assert opened.widget.panel.settings["ScreenerSlicer/acknowledged"] == "1"
    opened.screen()


def test_a_model_of_the_users_own_is_taken_and_remembered(opened: Opened, tmp_path: Path) -> None:
    opened.add(torso())
    own = tmp_path / "mine"
    shutil.copytree(BUNDLED / "preview", own)
    (own / "CARD.md").write_text("# My own card")
    opened.host.click(opened.ui.modelButton)
    opened.ui.modelFolderEdit.currentPath = str(own)
    assert opened.ui.modelBox.currentText == "mine"
    assert "My own card" in opened.ui.modelCard.plainText
    assert opened.widget.panel.settings["ScreenerSlicer/model"] == str(own)
    opened.start()
    assert opened.widget.logic.jobs.last is not None
    opened.wait_for_end()


@pytest.mark.parametrize("wrong", ["no model", "no weights"])
def test_a_folder_that_is_no_model_is_refused(opened: Opened, tmp_path: Path, wrong: str) -> None:
    if wrong == "no weights":
        shutil.copy(BUNDLED / "preview" / "model.json", tmp_path)
    before = opened.ui.modelBox.count
    opened.ui.modelFolderEdit.currentPath = str(tmp_path)
    assert opened.ui.modelFolderLabel.text.startswith("This is no usable model: ")
    assert opened.ui.modelBox.count == before


def with_machine(opened: Opened, machine: Hardware, probe: Callable[..., None]) -> None:
    probe(machine)
    opened.widget.enter()
    opened.host.wait(lambda: not opened.widget.panel.is_probing)


@pytest.fixture
def probe(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> Callable[[Hardware], None]:
    """Lets the next probe find another machine, with a PyTorch for GPUs."""
    panel = importlib.import_module("ScreenerSlicerLib.panel.device")
    monkeypatch.setattr(panel, "torch_build", lambda: "cu128")
    return lambda machine: monkeypatch.setattr(panel, "Probe", lambda: Probe(lambda: machine))


def test_the_processor_is_announced_for_as_long_as_it_is_used(
    opened: Opened, probe: Callable[..., None]
) -> None:
    opened.add(torso())
    with_machine(opened, Hardware(cores=4), probe)
    assert opened.ui.deviceNoticeLabel.visible
    assert "No NVIDIA GPU was found" in opened.ui.deviceNoticeLabel.text
    opened.start()
    assert opened.ui.deviceNoticeLabel.visible
    opened.wait_for_end()
    # A reader of findings is left alone with it; it stands where the device is chosen.
    assert not opened.ui.deviceNoticeLabel.visible
    opened.host.click(opened.ui.scanButton)
    assert opened.ui.deviceNoticeLabel.visible

    with_machine(opened, Hardware(gpus=(Gpu("RTX 4090", 24564, 20000),), cores=4), probe)
    assert not opened.ui.deviceNoticeLabel.visible
    assert "RTX 4090" in opened.ui.cardLabel.text
    opened.ui.deviceBox.setCurrentIndex(1)
    assert "The CPU was chosen" in opened.ui.deviceNoticeLabel.text
    assert "CPU, 4 cores" in opened.ui.cardLabel.text
    opened.widget.exit()
    opened.widget.enter()
    assert opened.ui.deviceBox.currentIndex == 1
