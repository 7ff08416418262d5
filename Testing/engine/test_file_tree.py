"""Files below a folder, whatever else lies there."""

import os
import socket
from pathlib import Path

import pytest

from ctscreener.errors import InputError
from ctscreener.file_tree import files_below, list_tree


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A folder with files, links to files and folders, loops, a pipe, a socket, hidden things."""
    root = tmp_path / "root"
    for name in ("root/a/1", "root/a/2", "root/b/c/3", "away/4", "root/.git/5", "root/.hidden"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    (root / "a" / "link").symlink_to("../b/c/3")
    (root / "d").symlink_to(tmp_path / "away")
    (root / "again").symlink_to(tmp_path / "away")
    (root / "b" / "up").symlink_to(root)
    (root / ".gone").symlink_to("nothing")
    os.mkfifo(root / "pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(root / "s"))
    (root / "to_pipe").symlink_to("pipe")
    return root


def test_links_are_followed_once_and_pipes_left_alone(tree: Path) -> None:
    found = [path.relative_to(tree).as_posix() for path in files_below(tree)]
    assert found == [".hidden", "a/1", "a/2", "a/link", "again/4", "b/c/3"]


def test_links_to_nothing_are_named_and_counted(tree: Path) -> None:
    (tree / "a" / "3").symlink_to("../nothing")
    (tree / "z").symlink_to("z")
    assert [path.name for path in list_tree(tree).dangling] == ["3", "z"]
    with pytest.raises(InputError, match=r"link to nothing: a/3 and 1 more\.") as caught:
        files_below(tree)
    assert caught.value.code == "scan.dangling_link"


def test_a_folder_that_cannot_be_read_is_one_line(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def closed(folder: Path) -> None:
        raise PermissionError(13, "Permission denied", str(folder))

    monkeypatch.setattr("ctscreener.file_tree.os.scandir", closed)
    with pytest.raises(InputError, match="Permission denied"):
        files_below(tree)
