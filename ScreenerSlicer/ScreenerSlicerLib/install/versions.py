"""Versions of packages: those that Slicer ships, how pip is held to them, how they are compared."""

import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

SHIPPED = (
    *("numpy", "scipy", "SimpleITK", "pydicom", "requests", "pillow", "vtk", "packaging"),
    *("setuptools", "pip", "certifi", "urllib3"),
)
"""What belongs to Slicer: never replaced, neither by another version nor by another build."""
PIP_CONSTRAINT = "PIP_CONSTRAINT"


def shipped_versions(version: Callable[[str], str | None]) -> dict[str, str]:
    """Look up which versions of its own packages Slicer has now."""
    found = {name: version(name) for name in SHIPPED}
    return {name: known_version for name, known_version in found.items() if known_version}


def constraints(versions: Mapping[str, str]) -> str:
    r"""Write pip's constraints that hold packages at their versions.

    Example:
        >>> constraints({"numpy": "2.0.2", "vtk": "9.5.0-dirty build"})
        'numpy==2.0.2\n'
    """
    usable = re.compile(r"[0-9][0-9A-Za-z.!+_-]*")
    return "".join(
        f"{name}=={found}\n" for name, found in versions.items() if usable.fullmatch(found)
    )


@contextmanager
def holding(held: Path) -> Iterator[None]:
    """Let every pip that is started meanwhile keep to constraints, whoever starts it.

    PyTorch is installed by another extension, which takes no constraints; pip itself reads them
    from a variable of the environment.

    Arguments:
        held: The file of constraints.
    """
    before = os.environ.get(PIP_CONSTRAINT)
    # As an address: pip parts the variable at spaces, which folders may have.
    os.environ[PIP_CONSTRAINT] = " ".join(filter(None, [before, held.resolve().as_uri()]))
    try:
        yield
    finally:
        if before is None:
            del os.environ[PIP_CONSTRAINT]
        else:
            os.environ[PIP_CONSTRAINT] = before


def release(version: str) -> tuple[int, ...]:
    """Return the numbers that a version begins with, for comparison.

    Example:
        >>> release("2.13.0+cpu") > release("2.6")
        True
    """
    numbers = re.match(r"\d+(?:\.\d+)*", version)
    return tuple(int(part) for part in numbers[0].split(".")) if numbers else ()
