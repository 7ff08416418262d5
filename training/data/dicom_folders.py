"""DICOM folders of a tree, which the engine finds: see `ctscreener.archive`."""

from ctscreener.archive import find_series

__all__ = ["find_series"]
