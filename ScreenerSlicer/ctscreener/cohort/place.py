"""The place of a cohort: where in its folder everything stands."""

from dataclasses import dataclass
from pathlib import Path

TABLE = "cohort.parquet"


@dataclass(frozen=True)
class Place:
    """A folder that holds a cohort.

    Arguments:
        folder: The folder: the table, and below `runs` one folder for each run.
    """

    folder: Path

    @property
    def table(self) -> Path:
        """The table of all runs."""
        return self.folder / TABLE

    def runs(self) -> list[str]:
        """Names of the runs, sorted."""
        return sorted(path.parent.name for path in self.folder.glob("runs/[!.]*/request.json"))

    def run(self, run: str) -> Path:
        """The folder of a run."""
        return self.folder / "runs" / run

    def request(self, run: str) -> Path:
        """What was asked of every scan: software, model and parameters."""
        return self.run(run) / "request.json"

    def scans(self, run: str) -> Path:
        """Holds a result folder for each scan."""
        return self.run(run) / "scans"

    def failed(self, run: str) -> Path:
        """Holds a file for each scan without a result."""
        return self.run(run) / "failed"

    def tries(self, run: str) -> Path:
        """Holds a file for each scan that is being worked on."""
        return self.run(run) / ".screener-tries"
