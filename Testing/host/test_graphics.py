"""What draws off-screen is found out without harm, and its absence is said."""

import pytest

from Testing.host import graphics


def test_a_missing_library_is_noticed_before_vtk_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    libraries = {"vtkEGLRenderWindow": "libNoSuch.so.1", "vtkOSOpenGLRenderWindow": "libNor.so.8"}
    monkeypatch.setattr(graphics, "LIBRARIES", libraries)
    monkeypatch.setattr(graphics.sys, "platform", "linux")
    monkeypatch.delenv(graphics.CHOICE, raising=False)

    assert graphics.candidates() == []


def test_where_nothing_draws_the_error_names_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graphics, "working_window", lambda: None)

    with pytest.raises(graphics.NoGraphics, match="libegl1"):
        graphics.prepare()


def test_what_kills_a_process_is_not_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graphics, "TRIAL", "import os, signal; os.kill(os.getpid(), 11)")

    assert not graphics.draws("vtkEGLRenderWindow")


def test_a_wrong_picture_is_not_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graphics, "TRIAL", "raise SystemExit((255, 0, 0) != (0, 255, 0))")

    assert not graphics.draws("vtkEGLRenderWindow")
