"""What this machine can prove, and what is missing: ``python -m runner.doctor``.

Reads the guests' manifest and asks the native extension, the operating system and the tools on the
PATH; changes nothing and needs no configuration. Exit code 0: composite proofs work here.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from runner.provers.diagnosis import Report, diagnose
from runner.provers.guests import DEFAULT_FOLDER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.text import Text

__all__ = ["main"]


def spoken(value: object) -> str:
    """A value of ``build_info()`` for people."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def lines(report: Report) -> list[tuple[str, str, str, str]]:
    """The report for people: heading or empty, label, text, style of the text."""
    gib = report.memory_bytes / 2**30
    memory = f"{gib:.1f} GiB" if gib else "unknown"
    good, bad, dim = "green", "red", "dim"
    rows = [
        ("machine", "runner", report.runner, ""),
        ("", "python", report.python, ""),
        ("", "platform", report.platform, ""),
        ("", "processor", f"{report.cpu}, {report.cores} cores for this process", ""),
        ("", "memory", memory, ""),
        ("", "proof cache", f"{report.proof_cache} ({report.proof_cache_state})", ""),
    ]
    if report.native is None:
        rows.append(("native extension", "runner_risc0", f"missing: {report.native_problem}", bad))
    else:
        rows.append(("native extension", "runner_risc0", report.native["module_version"], good))
        rows += [("", key, spoken(value), "") for key, value in report.native.items()][1:]
    if report.openvm is None:
        rows.append(
            ("", "runner_openvm", "not installed (prover=openvm); `make setup-openvm`", dim)
        )
    else:
        said = ", ".join(f"{key} {spoken(value)}" for key, value in report.openvm.items())
        rows.append(("", "runner_openvm", said, good))
    rows.append(("receipt kinds", "execute", "yes (no proof)" if report.native else "no", ""))
    for kind in report.receipts:
        text = "yes" if kind.available else f"no: {kind.reason}; {kind.remedy}"
        rows.append(("", kind.kind, text, good if kind.available else dim))
    for at, guest in enumerate(report.guests):
        note = ", image id recomputed" if guest.recomputed else ""
        style = good if guest.state == "ok" else bad
        text = f"{guest.state}{note}  {guest.image_id}"
        rows.append(("" if at else "guests", guest.name, text, style))
    for at, (name, version) in enumerate(report.tools.items()):
        rows.append(("" if at else "tools", name, version or "not found", "" if version else dim))
    return rows


def show(report: Report) -> None:
    """Prints the report, one fact a line."""
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False, soft_wrap=True)

    def put(*parts: str | tuple[str, str] | Text) -> None:
        console.print(Text.assemble(*parts))

    for heading, label, text, style in lines(report):
        if heading:
            put((heading, "bold"))
        put(f"  {label:<18}", (text, style))
    if report.ready:
        put(("\ncomposite proofs work here", "bold green"))
    for what in report.todo:
        put(("\nto do: ", "bold red"), what)


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of ``python -m runner.doctor``."""
    parser = argparse.ArgumentParser(
        prog="python -m runner.doctor",
        description="What this machine can prove. Exit code 0: composite proofs work here.",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object instead of text")
    parser.add_argument(
        "--guests", type=Path, default=DEFAULT_FOLDER, help="folder with manifest.json"
    )
    options = parser.parse_args(arguments)
    report = diagnose(options.guests, os.environ)
    if options.json:
        sys.stdout.write(json.dumps(asdict(report), indent=2) + "\n")
    else:
        show(report)
    return 0 if report.ready else 1


if __name__ == "__main__":
    sys.exit(main())
