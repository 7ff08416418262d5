"""Reporters: whoever hears how a run goes."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ctscreener.errors import InputError


class Reporter(ABC):
    """Whoever hears how a run goes."""

    @abstractmethod
    def begin(self, name: str, number: int, count: int) -> None:
        """Say that scan `number` of `count` begins, counted from 1."""

    @abstractmethod
    def progress(self, stage: str, done: int, total: int) -> None:
        """Say where a stage is: this method is a `ctscreener.progress.Progress`."""

    @abstractmethod
    def notice(self, code: str, message: str) -> None:
        """Say what is not done as it was asked for: this method is a `fallback.Notice`."""

    @abstractmethod
    def result(self, scan: str, folder: Path, record: Mapping[str, Any], reused: bool) -> None:
        """Say what was found.

        Arguments:
            scan: What the scan is called.
            folder: Where the files of this scan are.
            record: The contents of `findings.json`.
            reused: Whether an earlier run had already done this scan.
        """

    @abstractmethod
    def error(self, code: str, message: str, action: str, scan: str | None) -> None:
        """Say what went wrong: its stable name, what it is, what to do, and with which scan."""

    def refused(self, error: InputError, scan: str | None = None) -> None:
        """Say that something cannot be used."""
        self.error(error.code, error.message, error.action, scan)

    def fault(self, fault: Exception, scan: str | None = None) -> None:
        """Say that Screener itself failed; whoever caught the fault logs its traceback."""
        what = " ".join(f"{type(fault).__name__}: {fault}".split())
        self.error(
            "internal",
            f"This is a fault of Screener, not of your scan: {what}.",
            "Please report it with the traceback.",
            scan,
        )
