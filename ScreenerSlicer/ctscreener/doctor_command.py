"""`ctscreener doctor`: prints what `ctscreener.doctor` finds, a line each."""

import argparse
import sys

from ctscreener.reporter import Reporter
from ctscreener.screen_command import DONE, REFUSED
from ctscreener.streams import say

MARKS = {True: "ok", False: "FAULT", None: "none"}


def run_doctor(options: argparse.Namespace, report: Reporter) -> int:
    """Look at this installation.

    Arguments:
        options: The flags of `ctscreener doctor`.
        report: Hears how far the self test is.

    Returns:
        The exit status: 0 unless something that was looked at has a fault.
    """
    from ctscreener.doctor import examine

    sound = True
    for check in examine(options.device, options.model, not options.no_test, report.progress):
        say(sys.stdout, f"{MARKS[check.sound]:<6}{check.name:<15}{check.found}")
        sound &= check.sound is not False
    return DONE if sound else REFUSED
