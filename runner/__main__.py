"""``python -m runner``."""

from runner import lifeline
from runner.commands import script

if __name__ == "__main__":
    script()
else:
    lifeline.follow()  # this is a process of a sweep's launcher, or a worker
