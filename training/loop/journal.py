"""The journal of a training: metrics.jsonl, TensorBoard events and a line on the terminal."""

import importlib.util
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from torch import Tensor

from ctscreener.whole_file import make_folder, write_text

if TYPE_CHECKING:
    from rich.progress import Progress

Pictures = Callable[[tuple[Tensor, ...]], dict[str, np.ndarray]]
"""Draws the batch of a step: pictures by name, uint8, `(rows, columns, 3)`."""

PLAIN_EVERY = 30.0
"""Seconds between two lines where there is no terminal to draw a bar on."""


class Journal:
    """Writes down how a training goes; a context manager.

    Arguments:
        run: The run folder.
        title: What is trained, for the terminal.
        first_step: Step that this session begins with; later lines of an earlier one are dropped.
    """

    def __init__(self, run: Path, title: str, first_step: int) -> None:
        make_folder(run)
        self._path = run / "metrics.jsonl"
        self._watched = run / "watched.jsonl"
        _keep_before(self._path, first_step)
        _keep_before(self._watched, first_step)
        self._title = title
        self._file = self._path.open("a", encoding="utf-8")
        self._board = _board(run, first_step)
        self._bar = _bar()
        self._last = self._started = time.monotonic()
        self._start_share: float | None = None
        if self._bar is not None:
            self._task = self._bar.add_task(title, total=1.0, note="")

    def __enter__(self) -> Self:
        """Start the bar."""
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close files and bar."""
        if self._bar is not None:
            self._bar.stop()
        self._file.close()
        if self._board:
            self._board.close()

    def write(self, step: int, metrics: dict[str, float]) -> None:
        """Write the metrics of one step.

        Arguments:
            step: The step, counted from 0.
            metrics: Name and value.
        """
        self._file.write(json.dumps({"step": step, **metrics}) + "\n")
        self._file.flush()
        self._curve("", metrics, step)

    def watched(self, step: int, values: dict[str, float]) -> None:
        """Write down what was measured on held-out data, in watched.jsonl.

        Arguments:
            step: The step before which it was measured.
            values: Name and value.
        """
        with self._watched.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, **values}) + "\n")
        self._curve("held_out/", values, step)

    def draw(self, step: int, pictures: dict[str, np.ndarray]) -> None:
        """Show pictures in TensorBoard.

        Arguments:
            step: The step, counted from 0.
            pictures: Name and picture, uint8, `(rows, columns, 3)`.
        """
        for name, picture in pictures.items() if self._board else ():
            self._board.add_image(name, picture, step, dataformats="HWC")

    def show(self, step: int, share: float, loss: float) -> None:
        """Tell the terminal how far the training is.

        Arguments:
            step: Steps done.
            share: Part of the whole training that is done, 0 to 1.
            loss: The last loss known.
        """
        if self._start_share is None:
            self._start_share = share
        note = f"step {step}, loss {loss:.4f}"
        if self._bar is not None:
            self._bar.update(self._task, completed=share, note=note)
            return
        now = time.monotonic()
        if now - self._last < PLAIN_EVERY and share < 1:
            return
        self._last = now
        done = share - self._start_share
        line = f"{self._title}: {share:.1%}, {note}"
        if done > 0:
            left = (now - self._started) * (1 - share) / done
            line += f", {left / 60:.1f} minutes left"
        print(line, file=sys.stderr, flush=True)

    def _curve(self, prefix: str, values: dict[str, float], step: int) -> None:
        """Draw values in TensorBoard, where it is installed."""
        for name, value in values.items() if self._board else ():
            self._board.add_scalar(prefix + name, value, step)


def _board(run: Path, first_step: int) -> Any:  # noqa: ANN401 - imported where it is installed
    """Open TensorBoard's events; None, which is told, where it is not installed."""
    if importlib.util.find_spec("tensorboard") is None:
        print("TensorBoard is not installed: metrics.jsonl has the curves.", file=sys.stderr)
        return None
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(run), purge_step=first_step or None)


def _bar() -> "Progress | None":
    """A bar, where there is a terminal and rich to draw it."""
    if not sys.stderr.isatty() or importlib.util.find_spec("rich") is None:
        return None
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:.1f}% {task.fields[note]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )


def _keep_before(path: Path, first_step: int) -> None:
    """Drop the lines of steps that will be done again."""
    if not path.exists():
        return
    kept = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            if json.loads(line)["step"] < first_step:
                kept.append(line + "\n")
        except ValueError:
            # A kill in the middle of a write leaves half a line, which nobody needs.
            continue
    write_text(path, "".join(kept))
