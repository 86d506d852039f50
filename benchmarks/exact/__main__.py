"""Counts what can be counted exactly: cycles and segments, plan sizes, memory, receipt bytes.

    python -m benchmarks.exact            count, and compare with benchmarks/exact/exact.json
    python -m benchmarks.exact --write    accept what was counted
    ... --real                            count receipt bytes too: one leaf and one aggregation
                                          are proved

Exit code 0: everything is as recorded, or was written. 1: something differs, and a table says what.
2: unusable input. A test counts the same and compares.
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from benchmarks.exact import counts, record

if TYPE_CHECKING:
    from pathlib import Path


def main(arguments: list[str] | None = None, path: Path = record.RECORDED) -> int:
    """Run the command line and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.exact",
        description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    parser.add_argument("--write", action="store_true", help="accept what was counted")
    parser.add_argument("--real", action="store_true", help="receipt bytes too (half a minute)")
    options = parser.parse_args(arguments)
    try:
        recorded = record.load(path) if path.exists() else {}
    except (OSError, ValueError) as error:
        print(f"{path}: {error}; restore it from git, or remove it and --write", file=sys.stderr)
        return 2
    found = counts.count(real=options.real)
    if options.write:
        record.save({**recorded, **found}, path)
        kept = "" if options.real or "receipts" not in recorded else "; receipts as they were"
        print(f"written to {path}{kept}")
        return 0
    rows = record.differences(recorded, found)
    figures = sum(1 for items in found.values() for _ in record.flat(items))
    print(record.table(rows) if rows else f"{figures} figures, all as recorded in {path.name}")
    return 1 if rows else 0


if __name__ == "__main__":
    sys.exit(main())
