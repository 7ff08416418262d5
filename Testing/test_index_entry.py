"""Slicer's index would take the extension, as far as that is known offline; faults are noticed."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from Testing.index_entry import FILES, NAME, ROOT, cloned_bytes, fill_owner, owner_of, problems


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """What the checks look at, to be spoiled."""
    pictures = ("ScreenerSlicer/Resources/Icons", "Resources/Screenshots")
    for folder in pictures:
        shutil.copytree(ROOT / folder, tmp_path / folder)
    for file in (*FILES, "LICENSE"):
        shutil.copy(ROOT / file, tmp_path / file)
    return tmp_path


def test_the_index_has_no_objection() -> None:
    assert problems(ROOT) == []


def entry_with(**changes: object) -> Callable[[Path], None]:
    def change(root: Path) -> None:
        file = root / f"{NAME}.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | changes))

    return change


def without(file: str) -> Callable[[Path], None]:
    return lambda root: (root / file).unlink()


def with_text(before: str, after: str) -> Callable[[Path], None]:
    def change(root: Path) -> None:
        file = root / "CMakeLists.txt"
        text = file.read_text()
        assert before in text
        file.write_text(text.replace(before, after))

    return change


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (entry_with(category="Wonders"), "no category"),
        (entry_with(colour="red"), "schema does not know"),
        (entry_with(tier="1"), "schema does not know"),
        (entry_with(scm_url="https://github.com/a/Screener"), "does not begin with Slicer"),
        (entry_with(build_dependencies=[]), "differ"),
        (without("LICENSE"), "no licence"),
        (without("Resources/Screenshots/findings.png"), "names no file"),
        (with_text(f"project({NAME})", "project(Other)"), "has the project"),
        (with_text("set(EXTENSION_ICONURL", "set(ICONURL"), "no EXTENSION_ICONURL"),
        (
            with_text(
                'SlicerCTAnomalyScreener")\nset(EXTENSION_CON', 'Other")\nset(EXTENSION_CON'
            ),
            "EXTENSION_HOMEPAGE",
        ),
    ],
)
def test_a_fault_is_told(copy: Path, spoil: Callable[[Path], None], told: str) -> None:
    assert problems(copy) == []
    spoil(copy)
    assert told in "\n".join(problems(copy))


def test_the_owner_is_filled_into_every_address_and_again(copy: Path) -> None:
    for owner in ("some-group", "another1"):
        addresses = fill_owner(copy, owner)
        assert len(addresses) == 4
        assert all(f"/{owner}/SlicerCTAnomalyScreener" in one for one in addresses)
        assert owner_of(copy) == owner
        assert problems(copy) == []
        assert not any("OWNER" in (copy / file).read_text() for file in FILES)


@pytest.mark.parametrize("owner", ["", "a b", "-a", "a/b", 'a"', "a--b", "x" * 40])
def test_what_is_no_owner_changes_nothing(copy: Path, owner: str) -> None:
    before = [(copy / file).read_bytes() for file in FILES]
    with pytest.raises(ValueError, match="Expected a user"):
        fill_owner(copy, owner)
    assert [(copy / file).read_bytes() for file in FILES] == before


def test_a_clone_is_its_files_and_its_history(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b.c"]
    subprocess.run([*git, "init", "-q"], check=True)
    for _ in range(2):
        (tmp_path / "weights").write_bytes(rng.bytes(100_000))
        subprocess.run([*git, "add", "weights"], check=True)
        subprocess.run([*git, "commit", "-q", "-m", "weights"], check=True)
    (tmp_path / "unknown").write_bytes(rng.bytes(100_000))
    assert cloned_bytes(tmp_path) == pytest.approx(300_000, rel=0.02)
    assert cloned_bytes(tmp_path / ".git" / "hooks") < 100_000
