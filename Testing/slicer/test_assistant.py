"""The install assistant: one question, the right helper, and nothing of Slicer's replaced."""

import importlib.metadata
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import final
from urllib.request import url2pathname

import pytest

from ScreenerSlicerLib.install import slicer_packages
from ScreenerSlicerLib.install.assistant import (
    DICOM_PACKAGES,
    PACKAGES,
    PENDING,
    SHIPPED,
    TORCH,
    Assistant,
    Tools,
    constraints,
    holding,
    release,
)
from ScreenerSlicerLib.install.slicer_packages import slicer_tools
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


def test_versions_are_compared_by_their_numbers() -> None:
    assert release("0.10") > release("0.9.1") > release("0.9rc1") == release("0.9")
    assert release("unknown") == ()
    assert constraints({"a": "1.0.dev3+gabc", "b": ""}) == "a==1.0.dev3+gabc\n"


@final
class FakeSlicer:
    """What `slicer_tools` asks of Slicer, with or without `slicer.packaging`."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, tuple[object, ...], dict[str, object]]] = []
        manager = SimpleNamespace(interactive=True)
        manager.installExtensionFromServer = self.remember("extension", 1)
        self.manager = manager
        self.quiet: list[bool] = []
        self.app = SimpleNamespace(extensionsManagerModel=lambda: manager)
        self.util = SimpleNamespace(
            pip_install=self.remember("pip_install"),
            confirmYesNoDisplay=self.remember("confirm", True),
            restart=self.remember("restart"),
        )

    def remember(self, name: str, answer: object = None) -> Callable[..., object]:
        """A function that is remembered when it is called."""

        def called(*arguments: object, **named: object) -> object:
            self.calls.append((name, arguments, named))
            if name == "extension":
                self.quiet.append(self.manager.interactive)
            return answer

        return called


def test_slicer_since_5_12_installs_by_its_own_packaging(tmp_path: Path) -> None:
    fake = FakeSlicer()
    fake.packaging = SimpleNamespace(  # pyright: ignore[reportAttributeAccessIssue]
        pip_ensure=fake.remember("pip_ensure")
    )
    slicer_tools(fake, {}).install_packages(["safetensors>=0.4"], tmp_path / "held.txt")
    ((name, arguments, named),) = fake.calls
    assert (name, arguments) == ("pip_ensure", (["safetensors>=0.4"],))
    assert named["constraints"] == tmp_path / "held.txt"
    assert named["prompt_install"] is False, "the assistant has asked"


def test_slicer_before_installs_by_its_util(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slicer_packages.importlib.util, "find_spec", lambda _: None)
    fake = FakeSlicer()
    tools = slicer_tools(fake, {})
    tools.install_packages(["safetensors>=0.4"], tmp_path / "held.txt")
    command = ["-c", str(tmp_path / "held.txt"), "safetensors>=0.4"]
    assert fake.calls == [("pip_install", (command,), {})]
    assert not tools.has_extension()


def test_slicers_tools_are_called_as_slicer_wants_them(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeSlicer()
    tools = slicer_tools(fake, {})
    assert tools.confirm("Title", "Text")
    assert tools.install_extension()
    assert fake.quiet == [False]
    assert fake.manager.interactive is True, "it is the manager of all of Slicer"
    tools.restart()
    assert fake.calls == [
        ("confirm", ("Text",), {"windowTitle": "Title"}),
        ("extension", ("PyTorch", False), {}),
        ("restart", (), {}),
    ]
    assert tools.version("numpy") == importlib.metadata.version("numpy")
    assert tools.version("no-such-package") is None
    assert tools.free_bytes() > 0
    installed: list[dict[str, object]] = []
    module = ModuleType("PyTorchUtils")
    logic = SimpleNamespace(installTorch=lambda **named: installed.append(named))
    module.PyTorchUtilsLogic = lambda: logic  # pyright: ignore[reportAttributeAccessIssue]
    monkeypatch.setitem(slicer_packages.sys.modules, "PyTorchUtils", module)
    tools.install_torch(">=2.6")
    assert installed == [{"askConfirmation": False, "torchVersionRequirement": ">=2.6"}]


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


def test_pip_itself_keeps_to_what_is_held(tmp_path: Path) -> None:
    """A wheel that wants another version of what is held is refused by pip."""
    folder = tmp_path / "a folder"
    folder.mkdir()
    wheel(folder, "held", "2.0")
    wheel(folder, "wanted", "1.0", "held>=2")
    held = folder / "constraints.txt"
    held.write_text("held==1.0\n")
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--no-index"]
    command += ["--find-links", str(folder), "wanted"]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
    with holding(held):
        refused = subprocess.run(command, capture_output=True, text=True, check=False)
    assert refused.returncode != 0
    assert "held==1.0" in refused.stdout + refused.stderr


def wheel(folder: Path, name: str, version: str, *requires: str) -> None:
    """Make a wheel that holds nothing but its metadata."""
    info = f"{name}-{version}.dist-info"
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    lines += [f"Requires-Dist: {one}" for one in requires]
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as file:
        file.writestr(f"{info}/METADATA", "\n".join(lines) + "\n")
        file.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        file.writestr(f"{info}/RECORD", "")
