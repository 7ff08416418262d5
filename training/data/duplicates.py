"""Near duplicates, which the engine finds, too: see `ctscreener.duplicates`."""

from ctscreener.duplicates import ALIKE, duplicates, fingerprint

__all__ = ["ALIKE", "duplicates", "fingerprint"]
