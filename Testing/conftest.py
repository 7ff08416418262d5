"""What tests of several folders share."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

if "PYTEST_XDIST_WORKER" in os.environ:
    # Networks of tests are small, and the other cores test beside.
    os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let the test host wait as harshly as Slicer does."""
    about = "keep Python's lock while the test host waits for events, as Slicer does"
    parser.addoption("--hold-gil", action="store_true", dest="hold_gil", help=about)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """Share tests out over processes: a file stays together, and all that Slicer is in."""
    if config.getvalue("dist") != "loadfile":
        return None
    from Testing.scheduling import FilesAndApplication

    return FilesAndApplication(config, log)


@pytest.fixture
def rng() -> np.random.Generator:
    """Random numbers, the same ones in every run."""
    return np.random.default_rng(20240607)


@pytest.fixture
def real_scans() -> Path:
    """The folder of real CT scans; a test that asks for it is skipped where there is none."""
    folder = os.environ.get("SCREENER_SCANS")
    if not folder:
        pytest.skip("SCREENER_SCANS names no folder of real scans")
    return Path(folder)


@pytest.fixture(scope="module")
def one_core() -> Iterator[None]:
    """Run networks on one core: as fast for small ones, and other tests go on beside."""
    # Here, since tests of the module on Slicer's libraries do without torch.
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
