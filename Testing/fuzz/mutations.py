"""Ways to damage bytes, text headers and JSON, each drawn from a generator."""

import gzip
import json
import zlib
from typing import Any

import numpy as np

# fmt: off
NUMBERS = [
    "0", "-0", "1", "-1", "2", "3", "4", "7", "16", "255", "256", "1000", "1500", "32767",
    "32768", "65535", "65536", "2147483647", "4294967296", "9223372036854775807",
    "99999999999999999999", "1e-30", "1e30", "1e308", "1e999", "-1e30", "0.5", "nan", "inf",
    "-inf", "0x10", "1_0", "11x.9", ".", "-", "1e", "1,5", "١", "²", "1e5", "00012", "+3",
]
WORDS = [
    "True", "False", "none", "None", "short", "MET_SHORT", "MET_LONG", "float", "double",
    "big", "little", "raw", "gzip", "ascii", "LOCAL", "LIST", "/dev/zero", ".", "..",
    "a%d.raw", "%s%n", "cm", "mm", "LPS", "scanner-xyz", "RGB-color", "block", "\x1b[31m",
    "é",
]
# fmt: on


def damaged(data: bytes, rng: np.random.Generator) -> bytes:
    """Change some bytes: flip, overwrite, cut, repeat, drop, insert.

    Arguments:
        data: Any bytes.
        rng: Decides what happens where.

    Returns:
        The changed bytes; a change may come to nothing.
    """
    out = bytearray(data)
    for _ in range(int(rng.integers(1, 4))):
        at = int(rng.integers(0, len(out) + 1))
        length = int(rng.choice([1, 2, 4, 8, 64, 4096]))
        match int(rng.integers(0, 6)):
            case 0 if at < len(out):
                out[at] ^= 1 << int(rng.integers(0, 8))
            case 1:
                out[at : at + length] = rng.bytes(min(length, len(out) - at))
            case 2:
                out[at : at + length] = bytes([int(rng.choice([0, 127, 255]))]) * length
            case 3:
                del out[at : at + length]
            case 4:
                out[at:at] = out[at : at + length]
            case _:
                del out[max(at, len(out) - length) if rng.random() < 0.5 else at :]
    return bytes(out)


def damaged_text(text: str, rng: np.random.Generator) -> str:
    """Change a header of lines: drop, repeat, swap, rename a line, or change a word of a value.

    Arguments:
        text: Lines `Key = Value` or `key: value`.
        rng: Decides what happens where.
    """
    lines = text.split("\n")
    for _ in range(int(rng.integers(1, 3))):
        at = int(rng.integers(0, len(lines)))
        match int(rng.integers(0, 8)):
            case 0:
                lines[at] = ""
            case 1:
                del lines[at : at + 1]
            case 2:
                lines.insert(int(rng.integers(0, len(lines) + 1)), lines[at % max(len(lines), 1)])
            case 3:
                lines[at] = lines[at].replace(str(rng.choice(list(lines[at] or " "))), "", 1)
            case 4:
                lines[at] += str(rng.choice([" 1", "\r", " x", "\t", "\x00", " " * 9000]))
            case _:
                lines[at] = _with_other_word(lines[at], rng)
        lines = lines or [""]
    return "\n".join(lines)


def _with_other_word(line: str, rng: np.random.Generator) -> str:
    """Replace one word, or one number within brackets."""
    for mark in "(),":
        line = line.replace(mark, f" {mark} ")
    words = line.split(" ")
    at = int(rng.integers(0, len(words)))
    words[at] = str(rng.choice(NUMBERS if rng.random() < 0.7 else WORDS))
    line = " ".join(words)
    for mark in "(),":
        line = line.replace(f" {mark} ", mark)
    return line


def damaged_json(data: Any, rng: np.random.Generator) -> str:  # noqa: ANN401 - anything of JSON
    """Change one value somewhere in JSON, or the text itself.

    Arguments:
        data: What JSON can hold.
        rng: Decides what happens where.
    """
    if rng.random() < 0.15:
        return damaged(json.dumps(data).encode(), rng).decode("utf-8", "replace")
    holder, key = _place_in(data, rng)
    values: list[Any] = [None, True, "", "x" * 1000, [], {}, [[]], 0, -1, 1, 2, 3.5, 10**9, 1e-30]
    values += [1e30, -1e30, float("nan"), float("inf"), 10**30, [1, 2, 3], "gaussian", "NEST"]
    match int(rng.integers(0, 8)):
        case 0:
            del holder[key]
        case 1 if isinstance(holder, list):
            holder.append(holder[key])
        case 1:
            holder[f"{key}x"] = holder[key]
        case _:
            holder[key] = values[int(rng.integers(0, len(values)))]
    deep = int(rng.choice([20, 500, 100_000]))
    return json.dumps(data).replace('"NEST"', "[" * deep + "]" * deep)


def _place_in(data: Any, rng: np.random.Generator) -> tuple[Any, Any]:  # noqa: ANN401
    """Draw a place in nested lists and mappings: what holds it, and its key or index."""
    while True:
        keys = list(data) if isinstance(data, dict) else list(range(len(data)))
        key = keys[int(rng.integers(0, len(keys)))]
        inner = data[key]
        if not isinstance(inner, dict | list) or not inner or rng.random() < 0.1:
            return data, key
        data = inner


def packed(data: bytes, how: str, rng: np.random.Generator) -> bytes:
    """Pack voxels; one time in eight something is wrong with the stream.

    Arguments:
        data: The voxels.
        how: `raw`, `gzip` or `zlib`.
        rng: Decides.
    """
    if how == "raw":
        return data
    stream = gzip.compress(data, 1, mtime=0) if how == "gzip" else zlib.compress(data, 1)
    if rng.random() < 0.125:
        more = bytes(int(rng.choice([1, 1 << 16, 1 << 26])))
        stream += gzip.compress(more, 1, mtime=0) if rng.random() < 0.5 else more[:9]
    return stream
