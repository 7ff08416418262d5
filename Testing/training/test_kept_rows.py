"""Rows in a file: read again as they were, and drawn again where anything changed or broke."""

from pathlib import Path

import pytest

from Testing.training.small_rows import SOURCES, same, some_rows
from training.data.kept_rows import kept_rows


def test_rows_are_kept_and_read_again(tmp_path: Path) -> None:
    path, key = tmp_path / "rows" / "a.npz", {"sources": SOURCES, "seed": [0, 1]}
    first = kept_rows(path, key, SOURCES, lambda: some_rows(0))
    assert same(first, some_rows(0))
    written = path.read_bytes()
    assert same(kept_rows(path, key, SOURCES, lambda: pytest.fail("was drawn")), first)
    assert path.read_bytes() == written
    assert [file.name for file in path.parent.iterdir()] == ["a.npz"]
    # What they depend on has changed.
    assert same(
        kept_rows(path, {**key, "seed": [0, 2]}, SOURCES, lambda: some_rows(1)), some_rows(1)
    )


@pytest.mark.parametrize("damage", ["truncated", "empty", "garbled", "other"])
def test_damaged_rows_are_drawn_again(tmp_path: Path, damage: str) -> None:
    path, key = tmp_path / "a.npz", {"seed": 0}
    kept_rows(path, key, SOURCES, lambda: some_rows(0))
    content = path.read_bytes()
    middle = len(content) // 2
    path.write_bytes(
        {
            "truncated": content[:middle],
            "empty": b"",
            "garbled": content[:200] + bytes(64) + content[264:],
            "other": b"no archive",
        }[damage]
    )
    assert same(kept_rows(path, key, SOURCES, lambda: some_rows(0)), some_rows(0))
    assert same(kept_rows(path, key, SOURCES, lambda: pytest.fail("was drawn")), some_rows(0))
