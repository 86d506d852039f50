"""Runs perf around a process, which takes the native stack of every thread many times a second."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
from typing import TYPE_CHECKING

from profiling.samples import complete, parse
from profiling.stacks import Timeline, fold, merge

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Sequence
    from pathlib import Path

    from profiling.samples import Frame

__all__ = ["Unavailable", "read", "record", "require", "timeline"]

# The clock is one of software, because virtual machines have no hardware counters. Its times are
# those of Python's time.monotonic(). No frame pointers are compiled in, so perf keeps a piece of
# the stack with each sample and unwinds it later by the tables that every library has. The stack
# frames of the zkVM's kernels are large: 16 KiB were enough in half of the samples, and 64 KiB is
# the most that perf keeps.
_EVENT = ("--event", "cpu-clock", "--clockid", "CLOCK_MONOTONIC")
_STACKS = ("--call-graph", "dwarf,65528")
_FIELDS = "comm,pid,tid,time,period,ip,sym,dso"


class Unavailable(Exception):  # noqa: N818  # a state of the machine, not a fault
    """perf cannot be used here; the message is one line and names the remedy."""


def require() -> None:
    """Make sure that perf can record here.

    Raises:
        Unavailable: perf is missing or not allowed to record.
    """
    if shutil.which("perf") is None:
        raise Unavailable(
            "there is no perf: apt-get install linux-perf (Ubuntu: linux-tools-generic)"
        )
    probe = ["perf", "record", "--quiet", *_EVENT, "--output", "/dev/null", "--", "true"]
    done = subprocess.run(probe, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        said = " ".join(done.stderr.split())[:160] or f"exit code {done.returncode}"
        raise Unavailable(
            f"perf may not record here ({said}); run as root or set"
            " `sysctl kernel.perf_event_paranoid=1`"
        )


def record(command: Sequence[str], data: Path, hertz: int) -> int:
    """Run a command under perf, leave the samples in ``data``, and return the exit code."""
    perf = ["perf", "record", "--quiet", *_EVENT, *_STACKS, "--freq", str(hertz)]
    process = subprocess.Popen([*perf, "--output", str(data), "--", *command])
    while True:
        # Ctrl-C reaches perf and the command as well; what they leave is still read.
        with contextlib.suppress(KeyboardInterrupt):
            return process.wait()


def timeline(path: Path) -> Timeline:
    """Read what :meth:`profiling.sampler.Sampler.record` kept, from the target's file."""
    content = json.loads(path.read_text(encoding="utf-8"))
    threads = {
        int(tid): ([time for time, _ in changes], [tuple(stack) for _, stack in changes])
        for tid, changes in content["threads"].items()
    }
    return Timeline(content["main"], threads)


def read(data: Path, python: Timeline) -> Counter[tuple[Frame, ...]]:
    """Read the samples as nanoseconds of CPU by stack, with the outermost function first."""
    command = ["perf", "script", "--input", str(data), "--no-inline", "--fields", _FIELDS]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, errors="replace"
    ) as script:
        assert script.stdout is not None  # a pipe was asked for
        samples = complete([*parse(script.stdout)])
        return fold((merge(sample, python), sample.weight) for sample in samples)
