"""The cluster: processes on this machine, jobs of SLURM, or whatever a scheduler brings."""

import importlib.util
import logging
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import Any, final

from dask import config
from dask.system import CPU_COUNT
from distributed import Client, LocalCluster
from distributed.deploy.cluster import Cluster as Deployed
from distributed.system import MEMORY_LIMIT

from ctscreener.errors import InputError
from ctscreener.reporter import Reporter

LOCAL, SLURM = "local", "slurm"
HERE = "127.0.0.1"
GIB = 2**30
EACH_GIB = 4.0
"""What a worker has at least, unless another memory is asked for: a large scan and its map fit."""
PATIENCE_SECONDS = 600.0
"""How long we wait for a scheduler that has gone."""
CONNECT_SECONDS = 10.0
ASK_SECONDS = 2.0
CONFIG = {
    # A worker starts the process that reads scans, which Python forbids to daemons.
    "distributed.worker.daemon": False,
    # Ours is the count of tries; see `tries.py`.
    "distributed.scheduler.allowed-failures": 1000,
    "distributed.scheduler.worker-saturation": 1.0,
    # Answers are small: nothing of a patient is ever spilled to a disk, and a full worker goes on.
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
    "distributed.worker.memory.terminate": 0.95,
    # A look at every stack a hundred times a second, which nobody reads here.
    "distributed.worker.profile.enabled": False,
    # Fifty looks at the clock a second and two at memory and disks, in every process: a twentieth
    # of a core for a cluster that does nothing.
    "distributed.admin.tick.interval": "1s",
    "distributed.admin.system-monitor.interval": "10s",
}
"""What our own workers and schedulers are told."""
ALLOCATOR = {"MALLOC_TRIM_THRESHOLD_": "67108864", "MALLOC_MMAP_THRESHOLD_": "33554432"}
"""What glibc settles at by itself when nothing is set. Dask sets 64 KiB, after which every array is
asked of the system anew, page by page: a sixth of the processor time of a scan."""
PATIENT = {
    # On a machine with much other work a worker takes long to start; Dask would give it up.
    "distributed.deploy.lost-worker-timeout": "1 hour",
    "distributed.comm.timeouts.connect": "5 minutes",
    **{f"distributed.nanny.pre-spawn-environ.{name}": value for name, value in ALLOCATOR.items()},
}
"""What is told besides where all processes are those of this machine."""
PRELOAD = ("ctscreener.screening",)
"""What our workers load while they start, all at once: else torch waits for the first scan."""
SILENT = logging.CRITICAL + 1
"""Dask tells of each worker that it restarts; we do so in our own words."""


@dataclass(frozen=True)
class ClusterSettings:
    """Who does the work."""

    scheduler: str = LOCAL
    """`local` processes, `slurm` jobs as `jobqueue.yaml` describes them, or an address such as
    `tcp://10.0.0.1:8786`."""
    workers: int = 0
    """Local processes, or jobs of SLURM at most; 0 for as many as cores and memory allow."""
    memory_gib: float = 0.0
    """Memory of a worker, at which it is ended; 0 for its share of the machine."""
    patience: float = PATIENCE_SECONDS
    """Seconds that a scheduler may be away."""


@final
class Cluster:
    """A connection to workers, which is made anew when its scheduler was away.

    Arguments:
        address: Of the scheduler; None for one in this process.
        client: The connection.
        patience: Seconds to wait for a scheduler that has gone.
        words: Who the workers are.
    """

    def __init__(self, address: str | None, client: Client, patience: float, words: str) -> None:
        self.client, self.words = client, words
        self.session = uuid.uuid4().hex[:8]
        self._address, self._patience = address, patience
        self._asked, self._threads = -ASK_SECONDS, 0

    def count(self) -> int:
        """Threads of the workers that are there now."""
        now = time.monotonic()
        if now > self._asked + ASK_SECONDS:
            self._asked, self._threads = now, 0
            with suppress(OSError, TimeoutError):
                there: Any = self.client.nthreads()
                self._threads = sum(there.values())
        return self._threads

    def regain(self, report: Reporter) -> None:
        """Wait until the scheduler is there again.

        Raises:
            InputError: `cohort.scheduler`.
        """
        if self.client.status == "running":
            return
        report.notice("cohort.scheduler_lost", "The scheduler has gone; waiting for another.")
        until = time.monotonic() + self._patience
        while self.client.status != "running":
            if time.monotonic() > until or (self.client.status == "closed" and not self._address):
                raise _no_scheduler(self._address or "this process")
            if self.client.status == "closed" and self._address:
                self._connect_again(self._address)
            time.sleep(0.1)
        report.notice("cohort.scheduler_back", "The scheduler is back; going on.")

    def _connect_again(self, address: str) -> None:
        try:
            self.client = Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
        except (OSError, TimeoutError):
            time.sleep(1.0)

    def close(self) -> None:
        """Let go of the connection."""
        self.client.close(timeout=5)


@contextmanager
def connected(settings: ClusterSettings) -> Iterator[Cluster]:
    """Start workers or find them, and end those that were started.

    Arguments:
        settings: Who they are.

    Raises:
        InputError: `cohort.scheduler`, `cohort.workers`.
    """
    with ExitStack() as stack:
        stack.enter_context(config.set(CONFIG))
        stack.enter_context(_quiet())
        if settings.scheduler == LOCAL:
            stack.enter_context(config.set(PATIENT))
            deployed, words = _local(settings)
        elif settings.scheduler == SLURM:
            deployed, words = _slurm(settings)
        else:
            cluster = _found(settings)
            stack.callback(cluster.close)
            yield cluster
            return
        stack.enter_context(deployed)
        client = stack.enter_context(Client(deployed, set_as_default=False))
        yield Cluster(None, client, settings.patience, f"{words}{_dashboard(deployed)}")


def local_size(settings: ClusterSettings) -> tuple[int, int, int]:
    """Choose how many workers this machine has.

    Returns:
        Workers, threads of each, and bytes of each.

    Example:
        >>> local_size(ClusterSettings(workers=1, memory_gib=2))[2] == 2 * 2**30
        True
    """
    each = settings.memory_gib or EACH_GIB
    workers = settings.workers or max(1, min(CPU_COUNT, int(MEMORY_LIMIT / GIB / each)))
    memory = settings.memory_gib * GIB or MEMORY_LIMIT / workers
    return workers, max(1, CPU_COUNT // workers), int(memory)


def _local(settings: ClusterSettings) -> tuple[LocalCluster, str]:
    """Start processes on this machine, which no other machine can reach."""
    workers, threads, memory = local_size(settings)
    made = LocalCluster(
        n_workers=workers,
        threads_per_worker=1,
        host=HERE,
        memory_limit=memory,
        preload=list(PRELOAD),
        silence_logs=SILENT,
        dashboard_address=f"{HERE}:0",
        # With keys of this run no other user of the machine can speak to the workers.
        security=True if _has("cryptography") else None,
        env={"OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "PASSIVE"},
    )
    plural = "s" * (workers != 1)
    return made, f"{workers} worker{plural} with {memory / GIB:.1f} GiB each on this machine"


def _slurm(settings: ClusterSettings) -> tuple[Deployed, str]:
    """Let SLURM start jobs as there is work, up to a number."""
    most = settings.workers or 1
    made = slurm_cluster(settings)
    made.adapt(minimum=0, maximum=most)
    return made, f"up to {most} jobs of SLURM, which come and go with the work"


def slurm_cluster(settings: ClusterSettings) -> Any:  # noqa: ANN401 - dask-jobqueue has no types
    """Describe the jobs; what is not set here comes from the user's `jobqueue.yaml`."""
    from dask_jobqueue.slurm import SLURMCluster

    more: dict[str, Any] = {"silence_logs": SILENT}
    if settings.memory_gib:
        more["memory"] = f"{settings.memory_gib:g}GiB"
    exports = [f"export {_variable(key)}={value}" for key, value in CONFIG.items()]
    exports += [f"export {name}={value}" for name, value in ALLOCATOR.items()]
    exports += ["export OMP_WAIT_POLICY=PASSIVE", "export OMP_NUM_THREADS=$SLURM_CPUS_PER_TASK"]
    try:
        return SLURMCluster(
            processes=1,
            job_script_prologue=exports,
            # One scan at a time, on all cores of its job.
            worker_extra_args=["--nthreads", "1"],
            security=True if _has("cryptography") else None,
            **more,
        )
    except ValueError as error:
        raise InputError(
            "cohort.slurm",
            f"Expected jobs to be described in jobqueue.yaml, found: {error}.",
            "Set jobqueue.slurm.cores and memory in ~/.config/dask/jobqueue.yaml.",
        ) from error


def _variable(key: str) -> str:
    """How a setting of Dask is called in the environment."""
    return "DASK_" + key.upper().replace(".", "__").replace("-", "_")


def _found(settings: ClusterSettings) -> Cluster:
    """Connect to a scheduler that others have started."""
    address = settings.scheduler
    try:
        client = Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, TimeoutError, ValueError) as error:
        raise _no_scheduler(address) from error
    cluster = Cluster(address, client, settings.patience, "")
    cluster.words = f"{cluster.count()} threads of workers at {address}"
    return cluster


def _dashboard(deployed: Deployed) -> str:
    """Where it can be watched; nowhere without Bokeh, which draws it."""
    if not _has("bokeh"):
        return ""
    return f"; dashboard: {deployed.dashboard_link}"


def _has(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Dask's own lines out of ours."""
    logs = [logging.getLogger(name) for name in ("distributed", "distributed.client")]
    before = [log.level for log in logs]
    for log in logs:
        log.setLevel(SILENT)
    try:
        yield
    finally:
        for log, level in zip(logs, before, strict=True):
            log.setLevel(level)


def _no_scheduler(address: str) -> InputError:
    return InputError(
        "cohort.scheduler",
        f"Expected a scheduler at {address}, found none that answers.",
        "Start it (`dask scheduler`), or check the address; what is done is kept.",
    )
