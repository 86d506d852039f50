"""The command ``python -m benchmarks.compare``."""

import sys

from benchmarks.compare.command import main

sys.exit(main())
