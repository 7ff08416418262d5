"""Qt through PythonQt, which knows its names at run time alone."""

from typing import Any

def __getattr__(name: str) -> Any: ...
