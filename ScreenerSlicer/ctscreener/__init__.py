"""The inference engine of Screener: a CT scan in, an anomaly map and ranked findings out.

The names below are its public face. They keep their meaning until the first number of the version
changes, and CHANGELOG.md tells what is new. Whatever else stands in the package may change with any
version. Nothing heavy is loaded before a name is used: `import ctscreener` is quick.

Example:
    >>> from ctscreener import load_model, read_scan, screen
    >>> load_model("preview").name
    'preview'
"""

import importlib
from typing import TYPE_CHECKING, Any

from ctscreener.errors import InputError
from ctscreener.version import VERSION as __version__

if TYPE_CHECKING:
    from ctscreener.files import read_scan, write_map
    from ctscreener.findings import Finding, FindingSettings
    from ctscreener.model import Model, load_model
    from ctscreener.scan import Scan
    from ctscreener.screened import Screened
    from ctscreener.screening import ScreenSettings, screen

__all__ = [
    "Finding",
    "FindingSettings",
    "InputError",
    "Model",
    "Scan",
    "ScreenSettings",
    "Screened",
    "__version__",
    "load_model",
    "read_scan",
    "screen",
    "write_map",
]

_HOMES = {
    "read_scan": "files",
    "write_map": "files",
    "Finding": "findings",
    "FindingSettings": "findings",
    "Model": "model",
    "load_model": "model",
    "Scan": "scan",
    "Screened": "screened",
    "ScreenSettings": "screening",
    "screen": "screening",
}
"""The module that each name is loaded from when it is first used."""


def __getattr__(name: str) -> Any:  # noqa: ANN401 - of whichever kind the name is
    """Load a name of the public face when it is first used (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module 'ctscreener' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"ctscreener.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public face, loaded or not."""
    return sorted({*globals(), *__all__})
