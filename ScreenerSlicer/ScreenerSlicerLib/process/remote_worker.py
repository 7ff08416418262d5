"""Stands for the engine, which runs on another machine: `python -m ... HOST PYTHON HASH screen ...`.

The scan goes there through ssh, and what was found comes back the same way; see `ctscreener.pipe`.
ssh asks nothing here: a key and a known host are needed. No port is forwarded, and nothing listens.
Every file of the result is compared with its hash, and the weights that were used with those that
were chosen.
"""

import json
import shlex
import shutil
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO, cast

from ctscreener.errors import InputError
from ctscreener.events import reporter
from ctscreener.framed import read_line, receive_file, send_file
from ctscreener.outputs import RESULTS
from ctscreener.reporter import Reporter
from ScreenerSlicerLib.process.remote import ANY, is_address
from ScreenerSlicerLib.translation import tr as _

SSH_OPTIONS = (
    "-T",
    *("-o", "BatchMode=yes", "-o", "ConnectTimeout=15", "-o", "ServerAliveInterval=15"),
    *("-o", "ClearAllForwardings=yes", "-o", "ForwardAgent=no", "-o", "ForwardX11=no"),
)
PLACED = ("scan.nrrd", "--out", "result", "--events")
"""What the engine is told of its files, which are others over there."""


def main(argv: Sequence[str] | None = None) -> int:
    """Let another machine screen `scan.nrrd`; returns 0, or 2 where it could not.

    Arguments:
        argv: Its address, its Python, the SHA-256 of the weights, perhaps `--worker MODULE`, and
            the engine's own arguments.
    """
    address, python, weights, *rest = sys.argv[1:] if argv is None else argv
    with reporter(events=True) as report:
        try:
            record = _screened(_line(address, python, rest), address, report)
            _check_weights(record, weights, address)
        except InputError as error:
            report.refused(error)
            return 2
        except OSError as error:
            report.refused(_unreachable(address, str(error)))
            return 2
        report.result("scan", Path("result"), record, reused=False)
    return 0


def ssh_line(address: str, words: Sequence[str]) -> list[str]:
    """Put the command together: one argument each; the other machine's shell joins and reads them.

    Arguments:
        address: `host` or `user@host`, or a name of ssh's own settings.
        words: What is run there; each is quoted for that shell.

    Raises:
        InputError: `remote.address`: that is no address, perhaps an option of ssh.
    """
    if not is_address(address):
        raise InputError(
            "remote.address",
            _("Expected host or user@host, found {address!r}.").format(address=address),
            _("Write the other machine as ssh knows it."),
        )
    ssh = shutil.which("ssh")
    if ssh is None:
        raise InputError(
            "remote.ssh",
            _("Expected the program ssh on this computer, found none."),
            _("Install an OpenSSH client."),
        )
    return [ssh, *SSH_OPTIONS, "--", address, *map(shlex.quote, words)]


def _line(address: str, python: str, rest: Sequence[str]) -> list[str]:
    """What is run over there: the engine's own options, without its files."""
    options = list(rest)
    worker = []
    if options[:1] == ["--worker"]:
        worker, options = options[:2], options[2:]
    assert tuple(options[:5]) == ("screen", *PLACED), "as `screen_job` has it"
    return ssh_line(address, [python, "-m", "ctscreener.pipe", *worker, *options[5:]])


def _screened(line: list[str], address: str, report: Reporter) -> dict[str, Any]:
    """Send the scan, pass events on, take the files; returns what was found."""
    Path("result").mkdir()
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdin is not None, "it is a pipe"
        assert child.stdout is not None, "it is a pipe"
        sender = threading.Thread(target=_send, args=(child.stdin,), daemon=True)
        sender.start()
        try:
            # A buffered stream of bytes, whatever it is called.
            return _received(cast(BinaryIO, child.stdout), address, report)
        finally:
            # The end of its stdin is what ends the other side.
            child.terminate()


def _send(stream: BinaryIO) -> None:
    try:
        send_file(stream, Path("scan.nrrd"))
    except OSError:
        # The other side has ended, and says why on its own stream.
        return


def _received(stream: BinaryIO, address: str, report: Reporter) -> dict[str, Any]:
    """Take what comes, up to the result."""
    while (event := read_line(stream)) is not None:
        kind = event.get("event")
        if kind == "file" and event.get("name") in RESULTS:
            receive_file(stream, event, Path("result") / str(event["name"]))
        elif kind == "progress":
            report.progress(str(event["stage"]), int(event["done"]), int(event["total"]))
        elif kind == "notice":
            report.notice(str(event["code"]), str(event["message"]))
        elif kind == "error":
            told = (str(event.get(part, "")) for part in ("code", "message", "action"))
            raise InputError(*told)
        elif kind == "result":
            own = ("event", "scan", "folder", "reused")
            return {key: value for key, value in event.items() if key not in own}
        else:
            raise _unreachable(address, json.dumps(event)[:80])
    raise _unreachable(address, _("an end of the connection"))


def _check_weights(record: dict[str, Any], wanted: str, address: str) -> None:
    """Make sure that the model over there is the one that was chosen here."""
    found = record.get("provenance", {}).get("model", {}).get("weights_sha256")
    if wanted not in (ANY, found):
        raise InputError(
            "remote.weights",
            _("Expected weights {wanted} on {address}, found {found}.").format(
                wanted=wanted[:12], address=address, found=str(found)[:12]
            ),
            _("Install the same version of Screener on both machines."),
        )


def _unreachable(address: str, found: str) -> InputError:
    expected = _("Expected a screening on {address}, found {found}.")
    return InputError(
        "remote.ended",
        expected.format(address=address, found=found),
        _(
            "See that ssh reaches that machine without asking anything, and that its Python has "
            "ctscreener; the report under Installation has ssh's own words."
        ),
    )


if __name__ == "__main__":
    sys.exit(main())
