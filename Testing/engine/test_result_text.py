"""Results as a person reads them, and as one line of JSON."""

import io
import json
from pathlib import Path

import pytest

from ctscreener.colours import rarity_to_rgba
from ctscreener.result_text import show_json, show_text, table
from ctscreener.terminal import Terminal
from Testing.engine.small_record import FINDING, RECORD


class Screen(io.StringIO):
    """A stream that calls itself a terminal."""

    def isatty(self) -> bool:
        """Say so."""
        return True


def test_a_result_names_the_findings_the_picture_and_the_limits() -> None:
    out = io.StringIO()
    Terminal(out, io.StringIO()).result("chest", Path("out"), RECORD, reused=True)
    text = out.getvalue()
    assert "chest: 1 finding (done before" in text
    assert all(number in text for number in ("4.25", "12.50", "31.00", "-2.00"))
    assert str(Path("out") / "overview.png") in text
    assert "For research." in text


def test_columns_are_as_wide_as_their_widest_cell() -> None:
    lines = table([{"n": 1.0, "word": "a"}, {"n": 1000.0, "word": "long"}])
    assert lines == ["      n  word", "   1.00  a", "1000.00  long"]
    assert table([]) == []


def test_what_was_not_counted_is_told_as_more_than_what_was() -> None:
    far = FINDING | {"peak_rarity": 5.93}
    model = {"rarity_counted_up_to": 5.58}
    record = {**RECORD, "findings": [far, FINDING], "provenance": {"model": model}}
    out = io.StringIO()
    Terminal(out, io.StringIO()).result("scan", Path("out"), record, reused=False)
    first, second = (line.split("  ") for line in out.getvalue().splitlines()[2:4])
    assert "> 5.5" in map(str.strip, first)
    assert "4.25" in map(str.strip, second)
    assert "5.93" not in out.getvalue()
    # A record without that number, such as an older one, is told as it stands.
    out = io.StringIO()
    Terminal(out, io.StringIO()).result("a", Path(), {**RECORD, "findings": [far]}, reused=False)
    assert "5.93" in out.getvalue()


def test_json_is_one_line_that_says_where_the_files_are(tmp_path: Path) -> None:
    out = io.StringIO()
    show_json(out, "ch\nest", tmp_path, RECORD, reused=True)
    (line,) = out.getvalue().splitlines()
    wanted = {**RECORD, "scan": "ch\nest", "folder": str(tmp_path), "reused": True}
    assert json.loads(line) == wanted


def test_a_terminal_shows_rarities_in_the_colours_of_the_map(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("rich")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("COLORTERM", "truecolor")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "120")
    screen = Screen()
    show_text(screen, "a", Path("out"), RECORD, reused=False)
    red, green, blue, _ = rarity_to_rgba(FINDING["peak_rarity"])
    assert f"38;2;{red};{green};{blue}m" in screen.getvalue()
    assert "4.25" in screen.getvalue()
    monkeypatch.setenv("NO_COLOR", "1")
    grey = Screen()
    show_text(grey, "a", Path("out"), RECORD, reused=False)
    assert "38;2;" not in grey.getvalue()
    assert "For research." in grey.getvalue()


def test_a_terminal_without_rich_and_a_file_show_the_same_plain_table(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    screen, file = Screen(), io.StringIO()
    for stream in (screen, file):
        show_text(stream, "a", Path("out"), RECORD, reused=False)
    assert screen.getvalue() == file.getvalue()
    assert "\x1b" not in file.getvalue()


def test_nothing_that_a_terminal_would_obey_is_in_the_coloured_table() -> None:
    pytest.importorskip("rich")
    screen = Screen()
    show_text(screen, "a\x1b[2J", Path("o\x07ut"), RECORD, reused=False)
    assert "\x1b[2J" not in screen.getvalue()
    assert "\x07" not in screen.getvalue()
