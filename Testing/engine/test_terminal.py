"""The terminal: a bar or plain lines, and the findings, for people."""

import io
import json

import pytest

from ctscreener.errors import InputError
from ctscreener.events import Events
from ctscreener.terminal import Terminal, progress_line


class Screen(io.StringIO):
    """A stream that calls itself a terminal."""

    def isatty(self) -> bool:
        """Say so."""
        return True


class Clock:
    """A clock that a test sets."""

    now = 0.0

    def __call__(self) -> float:
        """Tell the time."""
        return self.now


def test_a_terminal_shows_one_moving_line_with_the_time_left() -> None:
    clock, screen = Clock(), Screen()
    terminal = Terminal(io.StringIO(), screen, clock)
    for done in range(5):
        clock.now = 10.0 * done
        terminal.progress("scoring", done, 4)
    text = screen.getvalue()
    assert text.count("\n") == 1
    frames = [frame.strip() for frame in text.split("\r")[1:]]
    assert len(frames) == 5
    assert "10 s left" in frames[3]
    assert frames[4].endswith("100%  40 s")


def test_a_log_gets_few_whole_lines() -> None:
    clock, log = Clock(), io.StringIO()
    terminal = Terminal(io.StringIO(), log, clock)
    for done in range(1001):
        clock.now = done / 50
        terminal.progress("scoring", done, 1000)
    lines = log.getvalue().splitlines()
    assert "\r" not in log.getvalue()
    assert 2 <= len(lines) <= 4
    assert "100%" in lines[-1]


def test_an_error_does_not_continue_the_line_of_the_bar() -> None:
    screen = Screen()
    terminal = Terminal(io.StringIO(), screen)
    terminal.progress("scoring", 1, 4)
    terminal.refused(InputError("code", "It is so.", "Do this."))
    assert screen.getvalue().splitlines()[-1] == "ctscreener: It is so. Do this. [code]"


def test_a_notice_reaches_programs_and_people() -> None:
    lines, screen = io.StringIO(), Screen()
    Events(lines).notice("device.processor", "Going on with the processor.")
    wanted = {"event": "notice", "code": "device.processor"}
    assert json.loads(lines.getvalue()) == wanted | {"message": "Going on with the processor."}
    terminal = Terminal(io.StringIO(), screen)
    terminal.progress("scoring", 1, 4)
    terminal.notice("device.processor", "Going on with the processor.")
    assert screen.getvalue().splitlines()[-1] == (
        "ctscreener: Going on with the processor. [device.processor]"
    )


@pytest.mark.parametrize(("done", "total"), [(0, 0), (0, 5), (5, 5)])
def test_the_ends_of_a_stage_can_be_drawn(done: int, total: int) -> None:
    assert "left" not in progress_line("scoring", done, total, 0.0)
