"""One task of a benchmark in a process of its own, whose peak memory is then its own.

On Linux a process begins with its parent's peak: a benchmark leaves all that takes memory to them.
"""

import json
import os
import subprocess
import sys
from typing import Any


def ask(script: str, threads: int, flags: list[str]) -> dict[str, Any]:
    """Run a script on so many threads, and read the JSON on its last line.

    Arguments:
        script: The benchmark's own file.
        threads: For OpenMP and ITK; the script is told by `--threads`.
        flags: Its other flags.
    """
    environment = os.environ | {
        "OMP_NUM_THREADS": str(threads),
        "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS": str(threads),
    }
    command = [sys.executable, script, "--threads", str(threads), *flags]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, env=environment)
    return json.loads(done.stdout.splitlines()[-1])
