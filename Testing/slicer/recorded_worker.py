"""The stub of the engine, run once for each scan and its options; later, what it left is copied.

To start the stub takes most of a screening in a test, for what it imports. Nothing is imported here.
Where the stub is asked to misbehave, by `SCREENER_STUB`, it is run as it is. The variable
`SCREENER_RECORDED` names a folder of recordings.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

STUB = "ScreenerSlicerLib.process.stub_worker"


def main() -> int:
    """Do as the stub does, which is given the same arguments."""
    line = [sys.executable, "-m", STUB, *sys.argv[1:]]
    folder = os.environ.get("SCREENER_RECORDED")
    scan, out = Path(sys.argv[2]), Path(sys.argv[sys.argv.index("--out") + 1])
    if not folder or os.environ.get("SCREENER_STUB") or not scan.is_file():
        os.execv(sys.executable, line)
    wishes = [one for one in sys.argv[1:] if one not in (str(scan), str(out))]
    name = hashlib.sha256(scan.read_bytes() + repr((scan.name, wishes)).encode()).hexdigest()
    recorded = Path(folder) / name
    if not recorded.exists():
        return record(line, out, recorded)
    shutil.copytree(recorded / "result", out)
    print((recorded / "told").read_text(encoding="utf-8"), end="")
    return 0


def record(line: list[str], out: Path, recorded: Path) -> int:
    """Run the stub, and keep what it said and left; a refusal is not kept."""
    ran = subprocess.run(line, stdout=subprocess.PIPE, check=False)
    sys.stdout.buffer.write(ran.stdout)
    if ran.returncode == 0:
        half = recorded.with_name(f"{recorded.name}-{os.getpid()}")
        shutil.copytree(out, half / "result")
        (half / "told").write_bytes(ran.stdout)
        half.rename(recorded)
    return ran.returncode


if __name__ == "__main__":
    sys.exit(main())
