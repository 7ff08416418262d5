"""A worker without imports that takes a moment to start, and that misbehaves as a test asks.

Variables: `QUICK_SHAPE` is that of its map, all zeros; `QUICK_HANG` is the stage in which it
sleeps, `QUICK_STUBBORN` makes it ignore the request to end, `QUICK_ERROR` is an error that it
reports instead of a result, `QUICK_STATUS` the exit status after one, and into `QUICK_PIDS` it
writes its own process and one that it starts.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

STAGES = ("reading", "preparing", "scoring", "restoring", "findings", "writing")


def send(**event: object) -> None:
    print(json.dumps(event), flush=True)


def main() -> int:
    if os.environ.get("QUICK_STUBBORN"):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if pids := os.environ.get("QUICK_PIDS"):
        child = subprocess.Popen(["sleep", "1000"])
        Path(pids).write_text(f"{os.getpid()} {child.pid}")
    hang = os.environ.get("QUICK_HANG")
    for stage in STAGES:
        send(event="progress", stage=stage, done=0, total=1)
        if stage == hang:
            time.sleep(1000)
    if error := os.environ.get("QUICK_ERROR"):
        send(event="error", **json.loads(error))
        return 2
    shape = json.loads(os.environ["QUICK_SHAPE"])
    out = Path("result")
    out.mkdir()
    header = Path("scan.nrrd").read_bytes().partition(b"\n\n")[0]
    sizes = " ".join(map(str, reversed(shape)))
    lines = [
        f"sizes: {sizes}" if line.startswith("sizes") else line
        for line in header.decode().splitlines()
        if not line.startswith("type")
    ]
    lines.insert(1, "type: float")
    voxels = shape[0] * shape[1] * shape[2]
    (out / "anomaly.nrrd").write_bytes("\n".join(lines).encode() + b"\n\n" + bytes(4 * voxels))
    told = {"found": 0, "findings": [], "provenance": {"model": {}}}
    send(event="result", scan="scan", folder="result", **told)
    return int(os.environ.get("QUICK_STATUS", "0"))


if __name__ == "__main__":
    sys.exit(main())
