"""Slicer's C++ through its wrappers, which know their names at run time alone."""

from typing import Any

from slicer import i18n as i18n
from slicer import parameterNodeWrapper as parameterNodeWrapper
from slicer import util as util

def __getattr__(name: str) -> Any: ...
