"""The process that a temporary file belongs to, by the file's name, and whether it still runs."""

import os
import socket
import sys
import time
import zlib
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

FOREIGN_SECONDS = 7 * 24 * 3600.0
"""What another machine has left and not touched for so long is taken for left behind."""


def mark() -> str:
    """Name this process: its machine, its number, and when it was started.

    Returns:
        Hexadecimal and decimal digits with hyphens, fit for the name of any file.
    """
    return f"{_machine()}-{os.getpid()}-{_started(os.getpid())}"


def pid_of(marked: str) -> int:
    """Give the number of the process that a mark names; 0 where it is no mark.

    Example:
        >>> pid_of(mark()) == os.getpid(), pid_of("some words")
        (True, 0)
    """
    parts = marked.split("-")
    return int(parts[1]) if len(parts) == 3 and parts[1].isdecimal() else 0


def is_gone(marked: str, touched: float) -> bool:
    """Tell whether the process that a mark names has ended.

    Arguments:
        marked: What `mark` returned in that process. Anything else is nobody's to clear away.
        touched: When its file was last changed, seconds since 1970: of a process on another
            machine nothing else is known.

    Example:
        >>> is_gone(mark(), 0.0)
        False
    """
    pid = pid_of(marked)
    if not pid:
        return False
    machine, _, started = marked.split("-")
    if machine != _machine():
        return time.time() - touched > FOREIGN_SECONDS
    # Numbers are given again: another start is another process.
    return not _runs(pid) or _started(pid) != started


@lru_cache(maxsize=1)
def _machine() -> str:
    """Tell apart machines, and containers on one machine, whose numbers mean other processes."""
    space = ""
    with suppress(OSError):
        space = os.readlink("/proc/self/ns/pid")
    return f"{zlib.crc32(f'{socket.gethostname()} {space}'.encode()):08x}"


def _started(pid: int) -> str:
    """When a process was started, in ticks of its machine; 0 where the system does not tell."""
    with suppress(OSError, IndexError):
        # The name of the program, in brackets, may hold anything.
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        return text.rpartition(")")[2].split()[19]
    return "0"


if sys.platform == "win32":

    def _runs(pid: int) -> bool:
        import ctypes

        system = ctypes.windll.kernel32
        process = system.OpenProcess(0x00100000, False, pid)  # SYNCHRONIZE
        if not process:
            # 5: it runs, but belongs to another user.
            return system.GetLastError() == 5
        try:
            return system.WaitForSingleObject(process, 0) != 0
        finally:
            system.CloseHandle(process)

else:

    def _runs(pid: int) -> bool:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        except OSError:
            # It belongs to another user.
            return True
        return True
