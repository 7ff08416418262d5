"""Another machine that screens, reached through ssh."""

import re
from dataclasses import dataclass

ANY = "any"
"""In the place of a hash: whichever weights the other machine has."""
WORKER = "ScreenerSlicerLib.process.remote_worker"
"""The module that stands for the engine here."""
_ADDRESS = re.compile(r"(?:[A-Za-z0-9._][A-Za-z0-9._-]*@)?[A-Za-z0-9][A-Za-z0-9._-]*")


def is_address(text: str) -> bool:
    """Tell whether this is `host` or `user@host`, and surely no option of ssh.

    Example:
        >>> is_address("me@gpu-1.example.org"), is_address("-oProxyCommand=x"), is_address("")
        (True, False, False)
    """
    return _ADDRESS.fullmatch(text) is not None


@dataclass(frozen=True)
class Remote:
    """Another machine.

    Arguments:
        address: `host` or `user@host`, as ssh knows it.
        python: The Python over there that has ctscreener.
        weights: SHA-256 of the weights that have to be used; `any` takes whichever there are.
    """

    address: str
    python: str = "python3"
    weights: str = ANY

    def arguments(self) -> tuple[str, ...]:
        """Return the first arguments of the worker."""
        return self.address, self.python, self.weights
