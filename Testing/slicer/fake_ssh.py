"""Stands for ssh in tests, as harsh: the words are joined, and a shell over there reads them.

What it starts has a session of its own, as behind sshd: nothing ends it but the end of its stdin. The
variable `FAKE_SSH` may be `refuse`, or `damage`, which changes a byte of the first file that comes.
"""

import os
import subprocess
import sys

FLIPPED = 40
"""The byte of the file that is changed."""


def main() -> int:
    """Do as `ssh [options] -- host words...`."""
    arguments = sys.argv[1:]
    assert "BatchMode=yes" in arguments, "ssh would ask"
    place = arguments.index("--")
    assert not any(one in ("-L", "-R", "-D", "-A") for one in arguments[:place])
    if os.environ.get("FAKE_SSH") == "refuse":
        print(f"{arguments[place + 1]}: Permission denied (publickey).", file=sys.stderr)
        return 255
    line = ["sh", "-c", " ".join(arguments[place + 2 :])]
    if os.environ.get("FAKE_SSH") != "damage":
        return subprocess.run(line, start_new_session=True, check=False).returncode
    ended = subprocess.run(line, start_new_session=True, stdout=subprocess.PIPE, check=False)
    out = bytearray(ended.stdout)
    out[out.index(b"\n", out.index(b'"event": "file"')) + FLIPPED] ^= 1
    sys.stdout.buffer.write(out)
    return ended.returncode


if __name__ == "__main__":
    sys.exit(main())
