"""``python -m runner.doctor`` says what this machine can prove, and what is missing.

The doctor reads the guests' manifest and asks the zkVM adapters, the operating system and the tools
on the PATH. It changes nothing and needs no configuration. Its exit code is 0 if the guests can be
proved on this machine.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from runner import streams
from runner.doctor.diagnosis import Report, diagnose
from runner.provers.guests import DEFAULT_FOLDER

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.text import Text

    from runner.doctor.gpus import GpuState
    from runner.provers.prover import GpuExtension

__all__ = ["main"]


def shown(value: object) -> str:
    """A fact about a native module's build, as people read it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def lines(report: Report) -> list[tuple[str, str, str, str]]:
    """The report as people read it.

    Returns:
        For each line a heading (empty if the line belongs to the last heading), a label, a text,
        and the style of the text.
    """
    gib = report.memory_bytes / 2**30
    memory = f"{gib:.1f} GiB for this process" if gib else "unknown"
    good, bad, dim = "green", "red", "dim"
    rows = [
        ("machine", "runner", report.runner, ""),
        ("", "python", report.python, ""),
        ("", "platform", report.platform, ""),
        ("", "processor", f"{report.cpu}, {report.cores} cores for this process", ""),
        ("", "memory", memory, ""),
        *gpu_rows(report.gpus),
        ("", "proof cache", f"{report.proof_cache} ({report.proof_cache_state})", ""),
    ]
    for at, prover in enumerate(report.provers):
        heading = "" if at else "provers"
        if prover.diagnosis is None:
            rows.append((heading, prover.name, f"{prover.problem}; {prover.remedy}", dim))
            continue
        found = prover.diagnosis
        rows.append((heading, prover.name, f"{found.extension} is installed", good))
        rows += [("", key, shown(value), "") for key, value in found.build.items()]
        for kind in found.receipts:
            text = "yes" if kind.available else f"no: {kind.reason}; {kind.remedy}"
            rows.append(("", kind.kind, text, good if kind.available else dim))
        if found.gpu is not None:
            failed = bad if found.gpu.installed and report.gpus.usable else dim
            text = gpu_proofs(found.gpu, found.build)
            rows.append(("", "on GPUs", text, failed if found.gpu.reason else good))
    for at, guest in enumerate(report.guests):
        note = ", image id recomputed" if guest.recomputed else ""
        style = good if guest.state == "ok" else bad
        text = f"{guest.state}{note}  {guest.image_id}"
        rows.append(("" if at else "guests", guest.name, text, style))
    for at, (name, version) in enumerate(report.tools.items()):
        rows.append(("" if at else "tools", name, version or "not found", "" if version else dim))
    alerts = report.alerts or "each host that should have metrics is watched"
    rows.append(("alerts", "hosts", alerts, dim if report.alerts else good))
    return rows


def gpu_rows(gpus: GpuState) -> list[tuple[str, str, str, str]]:
    """The lines about the machine's GPUs, as in :func:`lines`."""
    if not gpus.usable:
        return [("", "GPUs", f"none: {gpus.problem}", "dim")]
    return [
        ("", "GPU driver", gpus.driver, ""),
        *(("", f"GPU {gpu.index}", f"{gpu.name}, {gpu.uuid}", "") for gpu in gpus.usable),
    ]


def gpu_proofs(extension: GpuExtension, build: Mapping[str, object]) -> str:
    """Say whether proofs are made on GPUs, and how the extension differs from the CPU's.

    Args:
        extension: The state of the adapter's extension for GPUs.
        build: The facts about the build of its extension for the CPU.
    """
    if extension.reason:
        return f"no: {extension.reason}; {extension.remedy}"
    other = ", ".join(
        f"{name}: {shown(value)}"
        for name, value in extension.build.items()
        if value != build.get(name)
    )
    return f"yes, by {extension.extension}{other and f' ({other})'}"


def show(report: Report) -> None:
    """Print the report, one fact a line."""
    from rich.text import Text

    from runner.consoles import make_console

    console = make_console(highlight=False, soft_wrap=True)

    def put(*parts: str | tuple[str, str] | Text) -> None:
        console.print(Text.assemble(*parts))

    for heading, label, text, style in lines(report):
        if heading:
            put((heading, "bold"))
        put(f"  {label:<18}", (text, style))
    if report.ready:
        put(("\nthe guests can be proved here", "bold green"))
    for what in report.todo:
        put(("\nto do: ", "bold red"), what)


def main(arguments: Sequence[str] | None = None) -> int:
    """The entry point of ``python -m runner.doctor``."""
    parser = argparse.ArgumentParser(
        prog="python -m runner.doctor",
        description="What this machine can prove. Exit code 0: the guests can be proved here.",
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
    streams.run(main)
