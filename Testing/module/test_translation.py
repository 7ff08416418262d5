"""Every text of the Slicer side that a user reads goes through `_()`, and is then translated."""

# -*- i18n: disabled -*-
import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from ScreenerSlicerLib.export.dicom_job import WEIGHTS as DICOM_WEIGHTS
from ScreenerSlicerLib.process.timeline import WEIGHTS
from ScreenerSlicerLib.translation import context_of, tr
from Testing.host import translation
from Testing.module.opened import ROOT, Opened, torso

FOLDER = ROOT / "ScreenerSlicer"
LIBRARY = FOLDER / "ScreenerSlicerLib"
NOT_FOR_READERS = {
    "process/stub_worker.py": "stands for the engine, which speaks English",
    "export/dicom.py": "texts inside DICOM objects, for whoever opens them",
    "export/report.py": "texts inside DICOM objects, for whoever opens them",
    "install/diagnosis.py": "the report, which developers read",
    "scene/findings_table.py": "names of columns, by which scripts read them",
}
"""Files in which prose may stand, and why."""
NAMES = {*WEIGHTS, *DICOM_WEIGHTS} | {
    # Stages, by which the panel looks up its own words; then names of people, folders, threads.
    *("The Screener developers", "Application Support", "screener probe", "screener reviews"),
    "screener reopening",
    # Fields of files.
    *("space directions: ", "space origin: ", "space: right-anterior-superior"),
    *("signed char", "unsigned char"),
    *("kinds: domain domain domain", "space directions", "space origin"),
    *("# Color table file ScreenerRarity", "Anatomic codes - DICOM master list"),
    # The report, which developers read, and a card whose driver tells no name.
    *("Bundled models", "Models of the user", "Temporary files", "NVIDIA GPU", "NVIDIA driver: "),
    *("GPU: none found", " GB free of ", " GB, "),
}
"""Literals of two words that no user reads."""
SAID_BY = {"Line", "Card", "Device", "JobError", "InputError", "ScreeningError", "Update"}
"""What carries texts to the user: none of its texts may be a bare literal."""
NOBODY_READS = {"ValueError", "RuntimeError", "TypeError", "KeyError", "AssertionError"}
PROSE = re.compile(r"[A-Za-z]{2,},? [A-Za-z]{2,}")
CODE = re.compile(r"[a-z_.:]*")


def untranslated(source: str) -> Iterator[tuple[int, str]]:
    """Find texts that a user would read in English, whatever the language.

    Arguments:
        source: A module of Python.

    Yields:
        Line and text: of literals with two words and more outside of `_()`, docstrings, `assert`,
        `re`, loggers and faults of ours; and of any word that is handed to one of `SAID_BY`.
    """
    waiting: list[ast.AST] = [ast.parse(source)]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Assert) or is_docstring(node) or is_translated(node):
            continue
        if isinstance(node, ast.Call) and name_of(node) in SAID_BY:
            yield from bare_words(node)
        if isinstance(node, ast.Call) and name_of(node) in NOBODY_READS:
            continue
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            if PROSE.search(node.value) and node.value not in NAMES:
                yield node.lineno, node.value
            continue
        waiting.extend(ast.iter_child_nodes(node))


def is_docstring(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def is_translated(node: ast.AST) -> bool:
    """Whether its literals are translated, or are no text at all."""
    if not isinstance(node, ast.Call):
        return False
    called = ast.unparse(node.func)
    return called in ("_", "translate") or called.startswith(("re.", "logger."))


def name_of(call: ast.Call) -> str:
    return ast.unparse(call.func).rpartition(".")[2]


def bare_words(call: ast.Call) -> Iterator[tuple[int, str]]:
    for one in [*call.args, *(keyword.value for keyword in call.keywords)]:
        literals = one.values if isinstance(one, ast.JoinedStr) else [one]
        for part in literals:
            text = part.value if isinstance(part, ast.Constant) else ""
            if (
                isinstance(text, str)
                and not CODE.fullmatch(text)
                and re.search("[A-Za-z]{3}", text)
            ):
                yield part.lineno, text


FILES = [FOLDER / "ScreenerSlicer.py", *sorted(LIBRARY.rglob("*.py"))]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(FOLDER).as_posix())
def test_no_text_is_left_in_english(file: Path) -> None:
    # The self test at the end of the module is for developers.
    source = file.read_text(encoding="utf-8").partition("class ScreenerSlicerTest")[0]
    place = file.relative_to(FOLDER).as_posix().removeprefix("ScreenerSlicerLib/")
    # An exception that is needed no more is to go.
    assert bool(list(untranslated(source))) == (place in NOT_FOR_READERS)


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ('label.text = "Nothing was found"', ["Nothing was found"]),
        ('label.text = f"{n} things were found"', [" things were found"]),
        ('Line("Size", text)', ["Size"]),
        ('raise InputError("scan.empty", f"Expected {n}", "Stop")', ["Expected ", "Stop"]),
        ('label.text = _("Nothing was found")', []),
        ('raise InputError("scan.empty", _("Expected it"), _("Stop."))', []),
        ('"""Nothing was found."""', []),
        ('assert n, "nothing was found"', []),
        ('raise ValueError("a fault of ours")', []),
        ('re.compile("a b|see this")', []),
        ('logger.warning("a line of the log")', []),
    ],
)
def test_a_text_that_was_forgotten_would_be_found(line: str, found: list[str]) -> None:
    assert [text for _, text in untranslated(line)] == found


def test_only_literals_are_given_to_the_translator() -> None:
    for file in FILES:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "_":
                assert len(node.args) == 1, f"{file.name}:{node.lineno}"
                assert isinstance(node.args[0], ast.Constant), f"{file.name}:{node.lineno}"


def test_one_file_alone_knows_slicers_translations() -> None:
    knowing = [file.name for file in LIBRARY.rglob("*.py") if "i18n" in file.read_text("utf-8")]
    assert knowing == ["translation.py"]


def marked(context: str, text: str) -> str:
    """A language in which every text stands in brackets."""
    return f"\u2039{text}\u203a"


def test_what_a_user_reads_is_in_the_users_language(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(translation, "translate", marked)
    ui = opened.ui
    opened.add(torso())
    ui.deviceBox.setCurrentIndex(1)
    rows = re.findall(r"<td>(.*?)</td>", ui.cardLabel.text)
    assert len(rows) >= 12
    in_english = [row for row in rows if "\u2039" not in row]
    # Numbers and units alone.
    assert all(re.fullmatch(r"[\d .x]+ mm", row) for row in in_english)
    opened.start()
    assert ui.screenButton.text == "\u2039Cancel\u203a"
    opened.host.wait(lambda: not opened.widget.logic.screening.busy, 60)
    opened.widget.panel.update()
    said = [ui.messageLabel.text, ui.findingsLabel.text, ui.thresholdLabel.text]
    said += [ui.mapLabel.text, ui.tablesButton.toolTip, ui.dicomMapButton.toolTip]
    assert [text for text in said if "\u2039" not in text] == []
    assert opened.result.map_node.GetName() == "\u2039CT rarity\u203a"


def test_a_translation_with_other_placeholders_is_not_used(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(translation, "translate", lambda context, text: "{nombre} fichiers")
    assert tr("{count} files") == "{count} files"
    monkeypatch.setattr(translation, "translate", lambda context, text: f"{context}: {text}")
    assert tr("{count} files") == "module.test_translation: {count} files"


def test_the_context_is_that_of_slicers_tools() -> None:
    assert context_of(str(LIBRARY / "panel" / "run.py")) == "panel.run"
    assert context_of(str(LIBRARY / "result.py")) == "ScreenerSlicerLib.result"
