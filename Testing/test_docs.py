"""Documents: links lead somewhere, what they name exists, and their Python runs."""

import re
import shlex
import shutil
import subprocess
import sys
from collections import Counter
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest

import ctscreener
from ctscreener import command, read_scan, write_map
from Testing.engine.command_line import scan_and_model
from training import run, stages

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted(
    path.relative_to(ROOT).as_posix()
    for path in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "Docs").glob("*.md"))
)
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ +(.*?) *$", re.MULTILINE)
NAMED = re.compile(r"(?:Testing|training|ScreenerSlicer|Docs|Resources)/[\w./-]+\.(?:py|sh|md)\b")


def anchors(document: Path) -> set[str]:
    """What a link can name in a document: its headings, spelt as GitHub spells them.

    Lower case, without punctuation, dashes for spaces; a second one of a name ends in `-1`.
    """
    seen = Counter[str]()
    found = set()
    for heading in HEADING.findall(FENCE.sub("", document.read_text(encoding="utf-8"))):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        name = re.sub(r"[^\w\- ]", "", words.lower()).replace(" ", "-")
        found.add(f"{name}-{seen[name]}" if seen[name] else name)
        seen[name] += 1
    return found


def broken_links(document: Path) -> list[str]:
    """Relative links of a document that lead nowhere; code is not looked at."""
    broken = []
    for link in LINK.findall(FENCE.sub("", document.read_text(encoding="utf-8"))):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = document.parent / path if path else document
        known = not path.startswith("/") and target.exists()
        if not known or (anchor and anchor not in anchors(target)):
            broken.append(link)
    return broken


def code(name: str) -> list[tuple[str, str]]:
    """Language and text of the blocks of code in a document."""
    return FENCE.findall((ROOT / name).read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", DOCUMENTS)
def test_links_and_anchors_lead_somewhere(name: str) -> None:
    assert broken_links(ROOT / name) == []


def test_a_link_that_leads_nowhere_would_be_caught(tmp_path: Path) -> None:
    (tmp_path / "other.md").write_text(
        "# A `b`: c, d-e\n## Twice\n## Twice\n```\n# no heading\n```\n"
    )
    sound = "[a](other.md) [b](other.md#a-b-c-d-e) [c](other.md#twice-1) [d](https://x.org/y)"
    sound += " [e](#here)"
    wrong = "![f](gone.png) [j](/tmp) [g](other.md#no-heading) [h](#there) [i](other.md#twice-2)"
    document = tmp_path / "document.md"
    document.write_text(f"# Here\n{sound}\n{wrong}\n```\n[code](gone.md)\n```\n")
    assert broken_links(document) == [
        "gone.png",
        "/tmp",
        "other.md#no-heading",
        "#there",
        "other.md#twice-2",
    ]


@pytest.mark.parametrize("name", DOCUMENTS)
def test_files_that_are_named_exist(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    assert [
        path
        for path in NAMED.findall(text)
        # NAME stands for any.
        if "NAME" not in path and not (ROOT / path).is_file()
    ] == []


@pytest.mark.parametrize("name", DOCUMENTS)
def test_stages_that_are_named_exist(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    named = re.findall(r"training/run\.py ([\w-]+)", text)
    assert [
        stage for stage in named if stage not in run.STAGES and stage not in ("STAGE", "--help")
    ] == []
    assert named or name not in ("README.md", "Docs/training.md")


class AcceptedError(Exception):
    """A stage has read its flags."""


@pytest.mark.parametrize("name", DOCUMENTS)
def test_commands_are_ones_that_their_stages_take(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    parse = stages.parse

    def stop(*arguments: Any) -> None:  # noqa: ANN401 - whatever a stage hands on
        parse(*arguments)
        raise AcceptedError

    monkeypatch.setattr(stages, "parse", stop)
    for _, text in code(name):
        for words in re.findall(r"training/run\.py (.*)", text):
            if "STAGE" in words or "--help" in words:
                continue
            with pytest.raises(AcceptedError):
                run.main(shlex.split(words, comments=True))


SCREENER = re.compile(r"(?:^|^\| `)(?:\.venv/bin/)?ctscreener ([a-z][^`\n]*)", re.MULTILINE)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_commands_are_ones_that_the_engine_takes(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    named = [found.strip() for found in SCREENER.findall(text)]
    commands = [shlex.split(words, comments=True) for words in named if " " in words]
    for words in commands:
        if "--help" in words:
            with pytest.raises(SystemExit) as ended:
                command._parser().parse_args(words)
            assert ended.value.code == 0
        else:
            command._parser().parse_args(words)
    capsys.readouterr()
    assert commands or name not in ("README.md", "Docs/cohort.md")


def test_the_tree_names_no_file_that_is_gone() -> None:
    tree = code("Docs/architecture.md")[0][1]
    folders = (ROOT / folder for folder in ("ScreenerSlicer", "training", "Testing"))
    files = {path.name for folder in folders for path in folder.rglob("*.py")}
    named = re.findall(r"[\w*]+\.py\b", tree)
    assert len(named) > 50
    assert [each for each in named if not any(fnmatch(file, each) for file in files)] == []


def test_the_tree_names_every_file_of_the_engine() -> None:
    named = re.findall(r"[\w*]+\.py\b", code("Docs/architecture.md")[0][1])
    files = {path.name for path in (ROOT / "ScreenerSlicer" / "ctscreener").glob("[!_]*.py")}
    missing = [file for file in sorted(files) if not any(fnmatch(file, each) for each in named)]
    assert missing == [], "name it in Docs/architecture.md"


@pytest.mark.usefixtures("one_core")
@pytest.mark.parametrize("name", ["README.md", "Docs/python.md"])
def test_the_python_of_documents_runs(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Where they run stand a scan, and a folder by the bundled model's name that is quicker.
    scan_and_model(tmp_path)
    (tmp_path / "model").rename(tmp_path / "preview")
    scan = read_scan(tmp_path / "scan.nrrd")
    write_map(tmp_path / "scan.nii.gz", scan.hu, scan.affine)
    monkeypatch.chdir(tmp_path)
    known: dict[str, Any] = {}
    for language, text in code(name):
        if language == "python":
            exec(compile(text, name, "exec"), known)  # noqa: S102 - our own text
    assert known["screened"].rarity.shape == scan.shape


def test_the_site_holds_every_public_name(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs")
    # As `make docs` lays the documents out.
    folders = ("Docs", "Resources", "training", "Testing")
    files = [path for folder in folders for path in (ROOT / folder).rglob("*.*")]
    for path in [*ROOT.glob("*.md"), ROOT / "LICENSE", *files]:
        if path.suffix in (".md", ".png", ".jpg", ".sh", ""):
            place = tmp_path / "build" / "docs" / path.relative_to(ROOT)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, place)
    shutil.copy(ROOT / "mkdocs.yml", tmp_path)
    (tmp_path / "ScreenerSlicer").symlink_to(ROOT / "ScreenerSlicer")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    page = (tmp_path / "build" / "site" / "Docs" / "api" / "index.html").read_text()
    for name in set(ctscreener.__all__) - {"__version__"}:
        assert f'id="ctscreener.{name}"' in page, f"name it in Docs/api.md: {name}"


def sentences(text: str) -> list[str]:
    """Sentences of a document, without code, tables, headings and pictures."""
    text = re.sub(r"^#.*$|^\|.*$|^!\[.*$", "\n", FENCE.sub("", text), flags=re.MULTILINE)
    text = re.sub(r"^(> |- |\d+\. )", "\n\n", text, flags=re.MULTILINE)
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text)
    parts = (" ".join(part.split()) for part in re.split(r"\n\s*\n", text))
    return [one for part in parts for one in re.split(r"(?<=[.!?:]) (?=[A-Z`*])", part) if one]


def test_the_readme_is_short_and_so_are_its_sentences() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 121
    assert [one for one in sentences(text) if len(one.split()) > 30] == []


def test_a_long_sentence_would_be_caught() -> None:
    text = f"# {'word ' * 40}\n\nShort one. {'Word ' * 31}end.\n\n- {'item ' * 5}\n"
    assert [len(one.split()) for one in sentences(text)] == [2, 32, 5]
