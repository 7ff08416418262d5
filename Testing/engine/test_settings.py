"""Settings come back from JSON as they went, and what does not fit is refused."""

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctscreener.errors import InputError
from ctscreener.model import ModelSettings
from ctscreener.settings import from_json, read_json, to_json, write_json
from Testing.engine.small_model import SETTINGS


@dataclass(frozen=True)
class Inner:
    """Settings within settings."""

    size: tuple[int, int, int] = (1, 2, 3)
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outer:
    """One field of each kind."""

    path: Path
    rate: float
    inner: Inner = field(default_factory=Inner)
    maybe: Inner | None = None
    where: Path | None = None
    kind: Literal["a", "b"] = "a"
    many: tuple[Inner, ...] = ()
    on: bool = False


inners = st.builds(Inner, st.tuples(*[st.integers()] * 3), st.lists(st.text()).map(tuple))
paths = st.sampled_from([Path("a"), Path("a/b c"), Path("/ä/ö.nrrd")])
outers = st.builds(
    Outer,
    path=paths,
    rate=st.floats(allow_nan=False, allow_infinity=False),
    inner=inners,
    maybe=st.none() | inners,
    where=st.none() | paths,
    kind=st.sampled_from(["a", "b"]),
    many=st.lists(inners, max_size=3).map(tuple),
    on=st.booleans(),
)


@given(outers)
def test_settings_come_back_as_they_went_with_their_types(settings: Outer) -> None:
    back = from_json(Outer, json.loads(json.dumps(to_json(settings))))
    assert back == settings
    assert hash(back) == hash(settings)
    assert isinstance(back.rate, float)


def test_the_settings_of_a_model_come_back() -> None:
    for settings in (SETTINGS, ModelSettings()):
        assert from_json(ModelSettings, json.loads(json.dumps(to_json(settings)))) == settings


def test_a_whole_number_serves_as_a_fraction() -> None:
    rate = from_json(Outer, {"path": "a", "rate": 2}).rate
    assert isinstance(rate, float)


def test_a_field_that_is_missing_takes_its_default() -> None:
    assert from_json(Outer, {"path": "a", "rate": 2.0}) == Outer(Path("a"), 2.0)


@pytest.mark.parametrize(
    ("data", "code", "word"),
    [
        ({"path": "a", "rate": 1.0, "rat": 2}, "settings.unknown", "rat"),
        ({"path": "a", "rate": 1.0, "inner": {"siz": 2}}, "settings.unknown", "siz"),
        ({"path": "a"}, "settings.unfit", "rate"),
        ({"path": "a", "rate": None, "inner": {"size": 5}}, "settings.unfit", "Inner"),
    ],
)
def test_what_does_not_fit_is_named(data: dict[str, object], code: str, word: str) -> None:
    with pytest.raises(InputError, match=word) as error:
        from_json(Outer, data)
    assert error.value.code == code


@pytest.mark.parametrize("data", [[], None, "text", 5])
def test_what_is_no_object_is_refused(data: object) -> None:
    with pytest.raises(InputError):
        from_json(Inner, data)  # pyright: ignore[reportArgumentType]


def test_a_file_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "new" / "settings.json"
    write_json(path, {"settings": SETTINGS, "text": "ä", 3: [Path("a/b")]})
    expected = {"settings": to_json(SETTINGS), "text": "ä", "3": ["a/b"]}
    assert read_json(path) == expected
    assert list(path.parent.iterdir()) == [path]


def test_a_file_that_cannot_be_finished_leaves_the_older_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "settings.json"
    write_json(path, {"old": True})
    with pytest.raises(TypeError):
        write_json(path, {"new": object()})
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError("killed")))
    with pytest.raises(InputError, match="could not be finished"):
        write_json(path, {"new": True})
    assert read_json(path) == {"old": True}


@pytest.mark.parametrize("content", [None, b"", b"{", b"\xff\xfe"])
def test_a_file_that_is_no_json_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "settings.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=r"settings\.json") as error:
        read_json(path)
    assert error.value.code == "json.unreadable"
