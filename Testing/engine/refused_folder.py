"""The one line that a folder of DICOM files is refused with."""

from pathlib import Path

import pytest

from ctscreener.errors import InputError
from ctscreener.files import read_scan


def error_of(folder: Path, series: str | None = None) -> InputError:
    """Return the error of reading a folder; it must be one line and must not name the patient."""
    with pytest.raises(InputError) as caught:
        read_scan(folder, series)
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value).lower()
    return caught.value
