"""Another machine is named in the panel: it screens, and the panel says where the scan goes."""

import os
import sys
from pathlib import Path

import pytest

from ScreenerSlicerLib.process.job_maker import STUB
from ScreenerSlicerLib.process.remote import ANY, Remote
from Testing.module.opened import ROOT, Opened, torso
from Testing.slicer import fake_ssh

HOST = "me@there.example"


@pytest.fixture
def reached(opened: Opened, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Opened:
    """A machine that ssh reaches, with the Python of the tests."""
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "ssh").write_text(f'#!/bin/sh\nexec "{sys.executable}" "{fake_ssh.__file__}" "$@"\n')
    (tools / "ssh").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), str(ROOT / "ScreenerSlicer")]))
    opened.use(STUB)
    opened.add(torso())
    opened.host.write(opened.ui.remoteEdit, HOST)
    opened.host.write(opened.ui.remotePythonEdit, sys.executable)
    return opened


def test_the_panel_says_where_the_scan_goes(reached: Opened) -> None:
    assert f"on {HOST}, by ssh" in reached.ui.cardLabel.text
    assert reached.ui.remoteLabel.text.startswith(f"The scan is sent to {HOST}")
    assert reached.ui.batchRunButton.toolTip
    reached.ui.remoteEdit.text = ""
    reached.host.write(reached.ui.remoteEdit, "")
    assert "by ssh" not in reached.ui.cardLabel.text
    assert not reached.ui.remoteLabel.visible


def test_what_is_no_address_is_refused(reached: Opened) -> None:
    reached.host.write(reached.ui.remoteEdit, "-oProxyCommand=x")
    assert not reached.ui.screenButton.enabled
    assert "host or user@host" in reached.ui.screenButton.toolTip
    assert "host or user@host" in reached.ui.remoteLabel.text


def test_it_screens_or_says_that_its_weights_are_others(
    reached: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The stub over there has no weights.
    reached.start()
    reached.wait_for_end(120)
    assert "Expected weights" in reached.ui.messageLabel.text
    assert HOST in reached.ui.messageLabel.text
    monkeypatch.setattr(Remote, "arguments", lambda this: (this.address, this.python, ANY))
    reached.start()
    reached.wait_for_end(120)
    result = reached.result
    assert result.provenance["synthetic"]
    assert len(reached.table()) == 2
