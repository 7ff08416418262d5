"""How much work a step is: counted once a session, for the table of paces."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from torch.utils.flop_counter import FlopCounterMode

from ctscreener.settings import write_json

PACE = "pace.json"
"""Where a run folder says what a step takes."""


@contextlib.contextmanager
def counted(run: Path | None) -> Iterator[None]:
    """Count the floating-point operations of a step, forward and back.

    Arguments:
        run: The run folder; None counts nothing.
    """
    if run is None:
        yield
        return
    with FlopCounterMode(display=False) as counter:
        yield
    write_json(run / PACE, {"flop": counter.get_total_flops()})
