"""``python -m wintunsim``: the command line."""

import sys

from wintunsim.cli import main

if __name__ == "__main__":
    sys.exit(main())
