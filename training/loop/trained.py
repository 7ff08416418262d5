"""What a training leaves: weights, and how they came about."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import torch
from safetensors.torch import load_file, save_file

from ctscreener.settings import read_json, write_json
from training.loop import processes
from training.loop.checkpoint import saved_whole
from training.loop.schedule import LoopSettings

RESULT = "result.json"
"""Where a run folder says how its training ended."""


@dataclass(frozen=True)
class Trained:
    """What a session of training leaves.

    Arguments:
        weights: Running average of the weights of the objective, on the host, by name.
        step: Steps done, in all sessions.
        finished: False when the time was up before the last step.
        seconds: Time spent, in all sessions.
        peak_bytes: Most memory held at a time in this session: of the graphics card, or of the
            whole process where there is none.
    """

    weights: dict[str, torch.Tensor]
    step: int
    finished: bool
    seconds: float
    peak_bytes: int = 0

    def part(self, prefix: str) -> dict[str, torch.Tensor]:
        """Give the weights of one module of the objective, without its name.

        Arguments:
            prefix: Name of the module, such as `network`.
        """
        start = prefix + "."
        return {k.removeprefix(start): v for k, v in self.weights.items() if k.startswith(start)}

    def save(self, run: Path, prefix: str) -> None:
        """Write the weights of one module, and how they came about, into the run folder.

        Of several processes the first one writes, and all of them wait for it.

        Arguments:
            run: The run folder; receives `<prefix>.safetensors` and `result.json`.
            prefix: Name of the module, such as `network`.
        """
        if processes.is_first():
            path = run / f"{prefix}.safetensors"
            with saved_whole(path) as beside:
                save_file({k: v.contiguous() for k, v in self.part(prefix).items()}, beside)
            result = {"step": self.step, "finished": self.finished, "seconds": self.seconds}
            write_json(run / RESULT, result | {"peak_bytes": self.peak_bytes})
        processes.wait()

    @classmethod
    def kept(cls, run: Path, prefix: str, settings: LoopSettings) -> Self | None:
        """What `save` wrote at the end of a training, so that nothing need be made ready for it.

        Arguments:
            run: The run folder.
            prefix: Name of the module that was saved.
            settings: How long to train.

        Returns:
            None where there is something left to train.
        """
        told, weights = run / RESULT, run / f"{prefix}.safetensors"
        if not (told.exists() and weights.exists()):
            return None
        result = read_json(told)
        # More minutes may be asked for now than then.
        limit = 60 * (settings.max_minutes or 0) if settings.schedule == "minutes" else 0
        if not result["finished"] or (limit and result["seconds"] < limit):
            return None
        named = {f"{prefix}.{name}": value for name, value in load_file(weights).items()}
        return cls(named, **result)
