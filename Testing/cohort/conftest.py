"""Workers in this process, which are there at once, and a small cohort."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from dask import config
from distributed import Client, LocalCluster

from ctscreener.cohort import cluster, cohort
from ctscreener.cohort.cluster import CONFIG, SILENT, Cluster, ClusterSettings
from ctscreener.reporter import Reporter
from Testing.cohort.made_up import make_model, make_scan, make_scans


class Heard(Reporter):
    """Remembers what is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def begin(self, name: str, number: int, count: int) -> None:
        """Hear of a scan."""

    def progress(self, stage: str, done: int, total: int) -> None:
        """Hear of progress."""

    def result(self, *_told: Any) -> None:  # noqa: ANN401
        """Hear of a result."""

    def notice(self, code: str, message: str) -> None:
        """Hear of a notice."""
        self.lines.append(f"{code}: {message}")

    def error(self, code: str, message: str, action: str, scan: str | None) -> None:
        """Hear of an error."""
        self.lines.append(f"{code}: {scan}: {message} {action}")


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture(scope="session")
def workers_here() -> Iterator[Cluster]:
    """Two workers, threads of this process."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with (
        config.set(CONFIG),
        LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            processes=False,
            dashboard_address=None,  # pyright: ignore[reportArgumentType]
            silence_logs=SILENT,
        ) as deployed,
        Client(deployed, set_as_default=False) as client,
    ):
        yield Cluster(None, client, 5.0, "2 threads")
    torch.set_num_threads(before)


@pytest.fixture
def here(workers_here: Cluster, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    """Let every command take those workers."""
    from contextlib import nullcontext

    def connected(_settings: ClusterSettings) -> Any:  # noqa: ANN401
        return nullcontext(workers_here)

    monkeypatch.setattr(cohort, "connected", connected)
    monkeypatch.setattr(cluster, "connected", connected)
    return workers_here


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `scans` (five, and one that is damaged), another scan, and two models."""
    folder = tmp_path_factory.mktemp("cohort")
    make_scans(folder / "scans", 5)
    (folder / "scans" / "bad.nrrd").write_text("no scan")
    make_scan(folder / "later.nrrd", 77)
    make_model(folder / "model")
    make_model(folder / "second", seed=1)
    return folder
