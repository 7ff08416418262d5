"""Fewer processes than there can be are refused before anything is read, by every stage."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ctscreener.errors import InputError
from training.all_stages import EverythingSettings
from training.data.drawing import DrawSettings
from training.datasets.check import CheckSettings
from training.loop.schedule import LoopSettings
from training.pack import PackSettings
from training.prepare import PrepareSettings
from training.unpack import UnpackSettings
from training.workers import check_workers

HERE = Path()
STAGES = [
    (EverythingSettings, (), 0),
    (CheckSettings, ("any", HERE), 0),
    (PrepareSettings, ((),), 0),
    (DrawSettings, (), 1),
    (LoopSettings, (), 1),
    (PackSettings, (), 1),
    (UnpackSettings, (HERE,), 1),
]


@pytest.mark.parametrize(("stage", "given", "fewest"), STAGES)
def test_a_stage_refuses_fewer_processes_than_there_can_be(
    stage: Callable[..., Any], given: tuple[Any, ...], fewest: int
) -> None:
    assert stage(*given, workers=fewest).workers == fewest
    with pytest.raises(InputError, match=f"Expected --workers of {fewest} or more, found"):
        stage(*given, workers=fewest - 1)


def test_the_fewest_are_enough() -> None:
    check_workers(1)
    check_workers(0, fewest=0)
    with pytest.raises(InputError, match="found -2"):
        check_workers(-2, fewest=0)
