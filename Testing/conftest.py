"""What tests of the engine and of the training share."""

import os
from pathlib import Path

import numpy as np
import pytest


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
