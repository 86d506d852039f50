"""``python -m runner``."""

from runner import lifeline, streams
from runner.cli.command import main

if __name__ == "__main__":
    streams.run(main)
else:
    lifeline.follow()  # this is a process of a sweep's launcher, or a worker
