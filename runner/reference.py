"""The command ``python -m runner.reference``: write the page of all metrics, or check it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runner import streams
from runner.alerts import generated
from runner.alerts.reference import PAGE, render

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    parser = generated.parser("reference", "Make the reference page of all metrics.", PAGE)
    return generated.command(parser, lambda _: render(), arguments)


if __name__ == "__main__":
    streams.run(main)
