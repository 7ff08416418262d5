"""`python -m ctscreener`, the same as `ctscreener`."""

import sys

from ctscreener.command import main

if __name__ == "__main__":
    sys.exit(main())
