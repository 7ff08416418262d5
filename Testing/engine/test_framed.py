"""Files in a stream come whole, or are refused."""

import os
from io import BytesIO
from pathlib import Path

import pytest

from ctscreener.errors import InputError
from ctscreener.framed import read_line, receive_file, send_file


def test_a_file_comes_whole_or_not_at_all(tmp_path: Path) -> None:
    sent = tmp_path / "sent.bin"
    sent.write_bytes(os.urandom(3_000_000))
    stream = BytesIO()
    send_file(stream, sent)
    raw = stream.getvalue()
    for name, given in {"whole": raw, "cut": raw[:-1], "changed": raw[:-9] + bytes(9)}.items():
        stream = BytesIO(given)
        header = read_line(stream)
        assert header is not None
        assert header["name"] == "sent.bin"
        if name == "whole":
            receive_file(stream, header, tmp_path / name)
            assert (tmp_path / name).read_bytes() == sent.read_bytes()
            continue
        with pytest.raises(InputError):
            receive_file(stream, header, tmp_path / name)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["sent.bin", "whole"]
    for line in (b"no json\n", b"[1]\n", b'{"event": "x"}'):
        with pytest.raises(InputError, match="as it was sent"):
            read_line(BytesIO(line))
    assert read_line(BytesIO()) is None
