"""Profiles a real run, and leaves flame graphs and tables of the host and of each guest.

    make profile                                     six leaves, one aggregation
    make profile ARGS="guest=sha256 guest.count=3"   any override that `make run` takes
    make profile ARGS="--out FOLDER --hertz 200"

The run uses one core and one process, so it takes longer than `make run`. docs/profiling.md says
how to read what it leaves.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from profiling import host
from profiling.flamegraph import Missing, draw
from profiling.stacks import folded_text
from profiling.tables import KINDS, by_kind, markdown, self_time, shares, short, whole_time

if TYPE_CHECKING:
    from profiling.samples import Frame

MICROSECOND, SECOND = 1000, 10**9
"""Both in nanoseconds."""


def main() -> int:
    """Run the command line and return the exit code of the run."""
    parser = argparse.ArgumentParser(
        prog="python -m profiling", description="Profiles one run of the runner."
    )
    parser.add_argument("--out", type=Path, default=Path("outputs/profile"), metavar="FOLDER")
    parser.add_argument("--hertz", type=int, default=99, help="samples a second (default 99)")
    parser.add_argument("--keep", action="store_true", help="keep perf's own file (hundreds of MB)")
    options, overrides = parser.parse_known_args()
    if not 1 <= options.hertz <= 2000:
        parser.error(f"--hertz {options.hertz}: give 1 to 2000")
    out: Path = options.out.absolute()
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    target = [sys.executable, "-m", "profiling.target", str(out), str(options.hertz)]
    target += [f"output={out / 'batch'}", *overrides]
    try:
        host.require()
    except host.Unavailable as reason:
        say(f"without the host's profile: {reason}")
        code = subprocess.run(target, check=False).returncode
    else:
        data = out / "perf.data"
        code = host.record(target, data, options.hertz)
        if code == 0:
            write_host(out, data, options.hertz)
        if not options.keep:
            data.unlink(missing_ok=True)
    if code == 0:
        write_guests(out)
    return code


def write_host(out: Path, data: Path, hertz: int) -> None:
    """Write flame graph and table of the process, from the file of perf and the Python stacks."""
    stacks = host.read(data, host.timeline(out / "python.json"))
    (out / "host.folded").write_text(folded_text(stacks, MICROSECOND), encoding="utf-8")
    kinds = by_kind(stacks)
    text = host_tables(kinds)
    (out / "host.md").write_text(text, encoding="utf-8")
    print(f"\n{text}")
    seconds = ", ".join(f"{name} {t.total() / 1e9:.1f} s" for name, t in kinds.items() if t)
    picture(out, "host", "A batch: Python and native code", f"CPU: {seconds}; {hertz} Hz", "µs")


def host_tables(kinds: dict[str, Counter[tuple[Frame, ...]]]) -> str:
    """Show the hot functions of the proofs, or of the whole run where no proof took a second."""
    proofs = {n: s for n, s in kinds.items() if n in KINDS and s.total() > SECOND}
    if not proofs:
        proofs = {"the run": sum(kinds.values(), Counter())}
    text = []
    for what, measure in (("alone", self_time), ("with all that it calls", whole_time)):
        rows = [
            [f"`{short(frame.symbol)}`", frame.library, *(f"{share:.1f} %" for share in row)]
            for frame, row in shares(proofs, measure)
        ]
        text.append(f"Share of CPU time, a function {what}\n")
        text.append(markdown(["function", "library", *proofs], rows))
    return "\n".join(text)


def write_guests(out: Path) -> None:
    """Write flame graph and table of each guest, from what the profiled process left."""
    for path in sorted(out.glob("guest-*.json")):
        found = json.loads(path.read_text(encoding="utf-8"))
        sum_ = found["user"] + found["paging"]
        rows = [
            [
                f"`{name}`",
                f"{user:,}",
                f"{inn:,}",
                f"{outt:,}",
                f"{100 * (user + inn + outt) / sum_:.1f} %",
            ]
            for name, user, inn, outt in found["functions"]
        ]
        table = markdown(["function", "user", "page in", "page out", "share"], rows)
        path.with_suffix(".md").write_text(table, encoding="utf-8")
        what = (
            f"{found['job']}: {found['user']:,} user and {found['paging']:,} paging cycles,"
            f" proved as {found['total']:,}"
        )
        print(f"\n{found['guest']}, {what}\n\n{table}")
        picture(out, path.stem, f"The guest {found['guest']}", what, "cycles")


def picture(out: Path, name: str, title: str, subtitle: str, unit: str) -> None:
    """Draw one flame graph, or print why that is not possible."""
    try:
        draw(out / f"{name}.folded", out / f"{name}.svg", title, subtitle, unit)
    except Missing as reason:
        say(f"{name}.folded is not drawn: {reason}")
    else:
        print(out / f"{name}.svg", flush=True)


def say(text: str) -> None:
    """Print one line to standard error, which keeps it apart from the results."""
    print(f"[profile] {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
