"""``python -m runner``."""

import sys

from runner.cli.command import main

if __name__ == "__main__":
    sys.exit(main())
