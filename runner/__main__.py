"""``python -m runner``."""

from runner import streams
from runner.cli.command import main

if __name__ == "__main__":
    streams.run(main)
