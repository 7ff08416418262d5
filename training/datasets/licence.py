"""Licences of data sets, and which of them weights trained on the data inherit."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Licence:
    """What may be done with a data set.

    Arguments:
        name: As its owners write it, such as `CC BY 4.0`.
        permissive: Whether it lets anyone use, change and pass on what is made of the data, also
            for money, if the source is named; what is not known for sure is not permissive.
        note: What of it is contradictory or not verified.
    """

    name: str
    permissive: bool
    note: str = ""


CC0 = Licence("CC0", True)
CC_BY_3 = Licence("CC BY 3.0", True)
CC_BY_4 = Licence("CC BY 4.0", True)
CC_BY_SA_3 = Licence("CC BY-SA 3.0", False)
CC_BY_SA_4 = Licence("CC BY-SA 4.0", False)
CC_BY_NC_4 = Licence("CC BY-NC 4.0", False)
CC_BY_NC_SA_4 = Licence("CC BY-NC-SA 4.0", False)
CC_BY_NC_ND_4 = Licence("CC BY-NC-ND 4.0", False)
UNKNOWN = Licence("not known", False)


def inherited(licences: Iterable[str]) -> str:
    """Say which licences weights inherit from the scans that they were trained on.

    Arguments:
        licences: Of each scan, by name; empty where nothing says.

    Example:
        >>> inherited(["CC BY 4.0", "CC BY-NC 4.0", "CC BY 4.0"])
        'Licences of the data, which the weights inherit: CC BY 4.0 (2 scans), CC BY-NC 4.0 (1 scan).'
    """
    counts: dict[str, int] = {}
    for name in licences:
        counts[name] = counts.get(name, 0) + 1
    if not any(counts):
        return ""
    listed = ", ".join(
        f"{name or 'not told'} ({count} scan{'s' * (count > 1)})"
        for name, count in sorted(counts.items(), key=lambda item: (not item[0], item[0]))
    )
    return f"Licences of the data, which the weights inherit: {listed}."
