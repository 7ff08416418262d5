"""The user's language: the only place that knows `slicer.i18n`, so that all else runs without it.

In Slicer the module file has loaded `slicer.i18n` before anything here is imported. In the child
processes and in other hosts there is none, and texts stay as they are.
"""

import inspect
import logging
import re
import sys
from pathlib import Path

logger = logging.getLogger(__name__)

I18N = "slicer.i18n"


def tr(text: str) -> str:
    """Return a text in the user's language; import it as `_`, and give it literals only.

    Arguments:
        text: English, perhaps with `{placeholders}` that are filled in afterwards.

    Returns:
        The translation; the text itself where there is none, or where its placeholders are others.

    Example:
        >>> tr("{count} tiles").format(count=3)
        '3 tiles'
    """
    i18n = sys.modules.get(I18N)
    frame = inspect.currentframe()
    if i18n is None or frame is None or frame.f_back is None:
        return text
    context = context_of(frame.f_back.f_code.co_filename)
    translated = i18n.translate(context, text)
    if _placeholders(translated) != _placeholders(text):
        logger.warning("In %s the translation of %r has other placeholders", context, text)
        return text
    return translated


def context_of(file: str) -> str:
    """Return the context under which Slicer's tools collect the texts of a file.

    Example:
        >>> context_of("/somewhere/ScreenerSlicerLib/panel/run.py")
        'panel.run'
    """
    path = Path(file)
    return f"{path.parent.name}.{path.stem}"


def _placeholders(text: str) -> set[str]:
    return set(re.findall(r"(?<!\{)\{([^{}]+)\}(?!\})", text))
