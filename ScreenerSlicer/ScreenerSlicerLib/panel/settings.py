"""What belongs to this machine and this user: kept in the application's settings."""

import json
from collections.abc import Iterator, MutableMapping
from pathlib import Path
from typing import final

import qt

MODEL, DEVICE = "ScreenerSlicer/model", "ScreenerSlicer/device"
MODEL_FOLDERS = "ScreenerSlicer/modelFolders"
EXPORT_FOLDER = "ScreenerSlicer/exportFolder"
BATCH_FOLDER = "ScreenerSlicer/batchFolder"
REMOTE, REMOTE_PYTHON = "ScreenerSlicer/remote", "ScreenerSlicer/remotePython"
ACKNOWLEDGED = "ScreenerSlicer/acknowledged"
SECONDS_A_TILE = "ScreenerSlicer/secondsATile"
TIMES_AS_LONG = "ScreenerSlicer/timesAsLong"
LEAST, MOST = 0.1, 20.0
"""A run during which the machine slept is no measure of the next."""
UNIT = "ScreenerSlicer/unit"
OURS = "ScreenerSlicer/"


@final
class Settings(MutableMapping[str, str]):
    """The settings of this module, as texts by their names."""

    def __getitem__(self, name: str) -> str:
        """Read a setting."""
        settings = qt.QSettings()
        if not settings.contains(name):
            raise KeyError(name)
        return str(settings.value(name))

    def __setitem__(self, name: str, value: str) -> None:
        """Keep a setting."""
        qt.QSettings().setValue(name, value)

    def __delitem__(self, name: str) -> None:
        """Forget a setting."""
        qt.QSettings().remove(name)

    def __iter__(self) -> Iterator[str]:
        """Go through the names."""
        return iter([name for name in qt.QSettings().allKeys() if name.startswith(OURS)])

    def __len__(self) -> int:
        """Count them."""
        return len(list(iter(self)))

    def model_folders(self) -> list[Path]:
        """List the model folders that the user has chosen."""
        return [Path(folder) for folder in json.loads(self.get(MODEL_FOLDERS, "[]"))]

    def add_model_folder(self, folder: Path) -> None:
        """Remember a model folder."""
        folders = dict.fromkeys([*map(str, self.model_folders()), str(folder)])
        self[MODEL_FOLDERS] = json.dumps(list(folders))

    def seconds_a_tile(self) -> dict[str, float]:
        """Return what tiles took in earlier runs, by `preflight.timing_key`."""
        return json.loads(self.get(SECONDS_A_TILE, "{}"))

    def add_seconds_a_tile(self, key: str, seconds: float) -> None:
        """Remember what a tile took."""
        self[SECONDS_A_TILE] = json.dumps({**self.seconds_a_tile(), key: seconds})

    def times_as_long(self) -> dict[str, float]:
        """Return how many times as long as guessed runs took, by `preflight.timing_key`."""
        return json.loads(self.get(TIMES_AS_LONG, "{}"))

    def add_times_as_long(self, key: str, ratio: float) -> None:
        """Remember how many times as long as foreseen a run took, with what was known before."""
        known = self.times_as_long()
        factor = min(max(known.get(key, 1.0) * ratio, LEAST), MOST)
        self[TIMES_AS_LONG] = json.dumps({**known, key: round(factor, 3)})
