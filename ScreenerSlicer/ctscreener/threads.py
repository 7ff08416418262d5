"""What the libraries behind torch are told before they are loaded."""

import os


def share_the_machine() -> None:
    """Let threads that wait for each other sleep, not spin, unless the user says otherwise.

    On a machine with other work a spinning thread keeps from its core the very one that it waits
    for: a screening then takes several times as long. OpenMP reads this once, when it is loaded:
    call it before torch is imported.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
