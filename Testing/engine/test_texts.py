"""Texts from files: nothing that a terminal obeys, nothing that a spreadsheet computes."""

import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctscreener.errors import InputError
from ctscreener.outputs import SummaryRow, summary_text
from ctscreener.streams import say
from ctscreener.terminal import Terminal
from ctscreener.texts import cell, plain

OBEYED = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


@given(st.text(st.characters(categories=("L", "N", "C", "Z", "P"))))
def test_nothing_is_left_that_a_terminal_obeys(text: str) -> None:
    shown = plain(text)
    assert not OBEYED.search(shown)
    shown.encode("utf-8")
    assert plain(shown) == shown


def test_words_stay_as_they_are() -> None:
    words = "Müller, 胸部 CT (2.5 mm) — 50 % = ½"
    assert plain(words) == words


@pytest.mark.parametrize("before", ["", " ", "\t", "\r", "\n", "\r\n", " \t ", "\u00a0"])
@pytest.mark.parametrize("formula", ["=1", "+1", "-1", "@A1", "＝1"])
def test_a_spreadsheet_is_given_no_formula(before: str, formula: str) -> None:
    assert cell(before + formula).startswith("'")


def test_a_summary_holds_no_formula_and_no_escape() -> None:
    row = SummaryRow('=HYPERLINK("x")', status="failed", error="@a\x1b[2J")
    line = summary_text([row]).splitlines()[1]
    assert line == '"\'=HYPERLINK(""x"")",,,,failed,\'@a\\x1b[2J'


def test_every_line_of_the_terminal_is_plain() -> None:
    out, err = io.StringIO(), io.StringIO()
    terminal = Terminal(out, err)
    terminal.begin("a\x1b[31m", 1, 2)
    terminal.notice("code", "b\x1b[31m")
    terminal.refused(InputError("code", "c\x1b[31m \udcfc.", "d\x07."), "e\x1b[31m")
    assert "\x1b" not in out.getvalue() + err.getvalue()
    assert "\\x1b" in err.getvalue()
    assert "\\xfc" in err.getvalue()


def test_a_letter_that_the_terminal_lacks_is_written_out() -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    say(stream, "Müller")
    stream.seek(0)
    assert stream.read() == "M\\xfcller\n"
