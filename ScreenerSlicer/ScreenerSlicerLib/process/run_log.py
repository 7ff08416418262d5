"""What a run said, one JSON object a line: the last lines in memory, all of them in a file."""

import json
import time
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import Any, final

LINES_KEPT = 200
FILES_KEPT = 20


@final
class RunLog:
    """The log of one run.

    A log that cannot be written must not stop a run: it is then kept in memory alone.

    Arguments:
        folder: Where its file goes, `run-<time>.jsonl`; the oldest files there are removed. In
            memory alone when None.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._lines: deque[str] = deque(maxlen=LINES_KEPT)
        self._began = time.monotonic()
        self.path = folder and folder / time.strftime("run-%Y%m%d-%H%M%S.jsonl")
        if folder is not None:
            with suppress(OSError):
                folder.mkdir(parents=True, exist_ok=True)
                for old in sorted(folder.glob("run-*.jsonl"))[: 1 - FILES_KEPT]:
                    old.unlink()

    def add(self, entry: dict[str, Any]) -> None:
        """Add an event, with the seconds since the run began; findings are left out."""
        kept = {key: value for key, value in entry.items() if key != "findings"}
        line = json.dumps({"t": round(time.monotonic() - self._began, 2), **kept})
        self._lines.append(line)
        if self.path is not None:
            with suppress(OSError), self.path.open("a", encoding="utf-8") as file:
                file.write(line + "\n")

    def lines(self) -> list[str]:
        """Return the last lines."""
        return list(self._lines.copy())
