"""The assistant's tools in a Slicer: its own helpers, called as each version of it wants them."""

import importlib.metadata
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import final

import pytest

from ScreenerSlicerLib.install import slicer_packages
from ScreenerSlicerLib.install.slicer_packages import slicer_tools


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
