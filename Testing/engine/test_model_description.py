"""What a model folder says of itself is read, or refused in one line."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ctscreener.errors import InputError
from ctscreener.model import load_model
from Testing.engine.changed_model import Description, describe, refused
from Testing.engine.small_model import save


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of a sound model."""
    return save(tmp_path / "small")


@pytest.mark.parametrize("change", [{"format_version": 2}, {"format": "other"}])
def test_another_version_is_refused(folder: Path, change: Description) -> None:
    describe(folder, lambda d: d.update(change))
    message = refused(folder, "model.version")
    assert "version 1" in message
    assert str(next(iter(change.values()))) in message


@pytest.mark.parametrize("part", ["settings", "sha256", "calibration", "provenance"])
def test_a_missing_part_is_named(folder: Path, part: str) -> None:
    describe(folder, lambda d: d.__delitem__(part))
    assert part in refused(folder, "model.unreadable")


@pytest.mark.parametrize(
    "change",
    [
        lambda d: [1],
        lambda d: d.update(settings=[]),
        lambda d: d.update(settings=None),
        lambda d: d.update(sha256=5),
        lambda d: d["settings"].update(tile=[24, 36]),
        lambda d: d["settings"].update(tile="abc"),
        lambda d: d["settings"].update(tile=[23, 36, 36]),
        lambda d: d["settings"]["descriptor"].update(channels=[]),
        lambda d: d["settings"]["descriptor"].update(channels="ab"),
        lambda d: d["settings"]["condition"]["learned"].update(inputs=1),
    ],
)
def test_a_damaged_description_is_one_clear_error(
    folder: Path, change: Callable[[Description], Any]
) -> None:
    describe(folder, change)
    refused(folder, "model.unreadable")


def test_a_description_that_is_no_json_is_one_clear_error(folder: Path) -> None:
    (folder / "model.json").write_text('{"format": ')
    refused(folder, "model.unreadable")


BEYOND = [
    lambda s: s["descriptor"].update(stem=[1, 2, 0]),
    lambda s: s["descriptor"].update(blocks=10**9),
    lambda s: s["descriptor"].update(blocks=1.5),
    lambda s: s["descriptor"].update(blocks=[1]),
    lambda s: s["descriptor"].update(channels=[8] * 100_000),
    lambda s: s["descriptor"].update(out=True),
    lambda s: s["density"]["flow"].update(blocks=10**9),
    lambda s: s["density"].update(head="none"),
    lambda s: s["density"].update(head=[]),
    lambda s: s["condition"].update(surround=[[1, [2]]]),
    lambda s: s["condition"].update(sincos=10**9),
    lambda s: s["preprocess"].update(clahe_tile=1e-30),
    lambda s: s["preprocess"].update(multiple=[0, 3, 3]),
    lambda s: s["preprocess"].update(spacing=[1e-9, 1, 1]),
    lambda s: s["preprocess"].update(window=[300, -1000]),
    lambda s: s["preprocess"].update(window=[]),
    lambda s: s.update(smooth=1e30),
    lambda s: s.update(smooth=float("nan")),
    lambda s: s.update(smooth=None),
    lambda s: s.update(tile=[10**9, 10**9, 10**9]),
]


@pytest.mark.parametrize("change", BEYOND, ids=map(str, range(len(BEYOND))))
def test_a_setting_beyond_all_bounds_is_refused_before_anything_is_built(
    folder: Path, change: Callable[[Description], Any]
) -> None:
    describe(folder, lambda d: change(d["settings"]))
    assert len(refused(folder, "model.unreadable")) < 600


def test_networks_that_the_weights_do_not_fill_take_no_memory(folder: Path) -> None:
    def enlarge(d: Description) -> None:
        d["settings"]["descriptor"].update(channels=[4096, 4096], blocks=64)

    describe(folder, enlarge)
    # 64 TB, if it were built.
    refused(folder, "model.tensors")


@pytest.mark.parametrize("text", ['{"a":' * 100_000, "[" * 900 + "]" * 900, "\xff"])
def test_a_description_nested_too_deeply_is_one_clear_error(folder: Path, text: str) -> None:
    (folder / "model.json").write_text(text, encoding="latin-1")
    refused(folder, "model.unreadable")
    sound = json.loads((save(folder.with_name("sound")) / "model.json").read_text())
    deep = json.dumps(sound | {"provenance": {"a": "HERE"}}).replace('"HERE"', "[" * 60 + "]" * 60)
    (folder / "model.json").write_text(deep)
    assert "nested" in refused(folder, "model.unreadable")


def test_a_card_that_is_no_text_is_one_clear_error(folder: Path) -> None:
    (folder / "CARD.md").write_bytes(b"# caf\xe9")
    assert "CARD.md" in refused(folder, "model.unreadable")


def test_an_unknown_setting_is_named(folder: Path) -> None:
    describe(folder, lambda d: d["settings"].update(colour="red"))
    with pytest.raises(InputError, match="colour"):
        load_model(str(folder))


def test_a_scale_that_is_none_is_refused(folder: Path) -> None:
    describe(folder, lambda d: d.update(calibration={}))
    refused(folder, "model.calibration")


def test_a_model_without_a_card_can_be_used(folder: Path) -> None:
    (folder / "CARD.md").unlink()
    assert "no card" in load_model(str(folder)).card
