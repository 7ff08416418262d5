"""Files in a stream: a line of JSON that names one with its size and hash, then its bytes."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from ctscreener.errors import InputError

PIECE_BYTES = 1 << 20
LONGEST_LINE = 1 << 26
"""Bytes of a line: no stream fills the memory."""


def send_file(stream: BinaryIO, path: Path) -> None:
    """Write a file into a stream.

    Arguments:
        stream: Takes bytes.
        path: The file; it goes by its own name, without its folder.

    Raises:
        OSError: The file cannot be read, or nobody reads the stream any more.
    """
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        size = file.tell()
        file.seek(0)
        header = {"event": "file", "name": path.name, "bytes": size, "sha256": digest}
        stream.write(json.dumps(header).encode("ascii") + b"\n")
        while piece := file.read(PIECE_BYTES):
            stream.write(piece)
    stream.flush()


def read_line(stream: BinaryIO) -> dict[str, Any] | None:
    """Read the next line of JSON; None at the end of the stream.

    Raises:
        InputError: `stream.damaged` where it is none.
    """
    line = stream.readline(LONGEST_LINE)
    if not line:
        return None
    try:
        header = json.loads(line)
    except ValueError:
        header = None
    if not isinstance(header, dict) or not line.endswith(b"\n"):
        raise _damaged(f"{line[:80]!r}")
    return header


def receive_file(stream: BinaryIO, header: Mapping[str, Any], path: Path) -> None:
    """Read a file out of a stream; it is there once its hash is the one that was told.

    Arguments:
        stream: What follows the line that names the file.
        header: That line.
        path: Where the file goes, in a folder that is nobody else's.

    Raises:
        InputError: `stream.damaged` where it is cut short or other than its hash.
        OSError: The file cannot be written.
    """
    part = path.with_name(path.name + ".part")
    digest, left = hashlib.sha256(), int(header["bytes"])
    with part.open("xb") as file:
        while left and (piece := stream.read(min(left, PIECE_BYTES))):
            digest.update(piece)
            file.write(piece)
            left -= len(piece)
    if left:
        part.unlink()
        raise _damaged(f"{path.name} cut short by {left} bytes")
    if digest.hexdigest() != header["sha256"]:
        part.unlink()
        raise _damaged(f"{path.name} with another hash than it was sent with")
    part.rename(path)


def _damaged(found: str) -> InputError:
    return InputError(
        "stream.damaged",
        f"Expected a file as it was sent, found {found}.",
        "Try again; check the connection.",
    )
