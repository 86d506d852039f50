"""Reads and writes the figures that were accepted, and shows what differs from them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Figures = dict[str, dict[str, dict[str, int]]]
"""Figures by section, item and name: ``{"plans": {"single 6": {"jobs": 7}}}``."""

RECORDED = Path(__file__).resolve().with_name("exact.json")
ACCEPT = "make bench-exact ARGS=--write"
TOLERANCE = {"memory": 0.01}
"""The share by which a section may differ; all other sections must be equal.

Bytes of Python objects do not depend on the hash seed. They differ by up to 0.2 % between the
Python versions 3.11 to 3.13, and with what the process did before."""


def differences(recorded: Figures, found: Figures) -> list[tuple[str, str, str, str]]:
    """List every figure that is not as recorded, as (what, recorded, found, change).

    Args:
        recorded: the recorded figures of all sections.
        found: the counted figures; a section that is missing here is not compared.
    """
    rows = []
    for section, items in found.items():
        old, new = dict(flat(recorded.get(section, {}))), dict(flat(items))
        for name in [*old, *(name for name in new if name not in old)]:
            before, after = old.get(name), new.get(name)
            if before is None or after is None:
                change = "new" if before is None else "gone"
                rows.append((f"{section}: {name}", _shown(before), _shown(after), change))
            elif abs(after - before) > TOLERANCE.get(section, 0) * before:
                change = f"{after / before - 1:+.2%}" if before else "from 0"
                rows.append((f"{section}: {name}", _shown(before), _shown(after), change))
    return rows


def table(rows: list[tuple[str, str, str, str]]) -> str:
    """Show the rows as a table, and say how to accept them."""
    head = ("figure", "recorded", "now", "change")
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(4)]
    lines = []
    for what, *figures in [head, *rows]:
        right = "  ".join(f"{f:>{w}}" for f, w in zip(figures, widths[1:], strict=True))
        lines.append(f"{what:<{widths[0]}}  {right}")
    real = " ARGS='--write --real'" if any(row[0].startswith("receipts") for row in rows) else ""
    accept = f"make bench-exact{real}" if real else ACCEPT
    return "\n".join([*lines, "", f"If this is meant: `{accept}`, and commit exact.json."])


def load(path: Path) -> Figures:
    """Read the recorded figures.

    Raises:
        OSError: the file cannot be read.
        ValueError: the file is not JSON.
    """
    figures: Figures = json.loads(path.read_text(encoding="utf-8"))
    return figures


def save(figures: Figures, path: Path) -> None:
    """Write the figures with one item on a line, so that a diff shows what changed."""
    sections = []
    for section, items in figures.items():
        lines = [f"    {json.dumps(name)}: {json.dumps(item)}" for name, item in items.items()]
        sections.append(f"  {json.dumps(section)}: {{\n" + ",\n".join(lines) + "\n  }")
    path.write_text("{\n" + ",\n".join(sections) + "\n}\n", encoding="utf-8")


def _shown(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"


def flat(items: Mapping[str, Mapping[str, int]]) -> Iterator[tuple[str, int]]:
    """Yield every figure of a section with a name that says what it is."""
    for item, figures in items.items():
        for figure, value in figures.items():
            yield f"{item}, {figure}", value
