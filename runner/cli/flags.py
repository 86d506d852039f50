"""The flags of the command that are the runner's own, and not Hydra's."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["asks_for_version", "without_flags"]

_QUIET = re.compile(r"--quiet(?:=(?P<value>.*))?|-(?P<letters>[mr]*q[mqr]*)", re.DOTALL)
"""What stands for the setting ``quiet``. ``-q`` may share a dash with Hydra's ``-m`` and ``-r``."""


def asks_for_version(arguments: Sequence[str]) -> bool:
    """Whether a command line asks for the version, which Hydra would take for its own."""
    return "--version" in arguments


def without_flags(arguments: Sequence[str]) -> list[str]:
    """The command line with the flags of the runner's own turned into overrides of Hydra's."""
    rest, said = [], None
    for argument in arguments:
        found = _QUIET.fullmatch(argument)
        if found is None:
            rest.append(argument)
            continue
        said = "true" if found["value"] is None else found["value"]
        if letters := (found["letters"] or "").replace("q", ""):
            rest.append(f"-{letters}")
    if said is None:
        return rest
    # Hydra's parser takes overrides only where they stand together.
    overrides = (
        index
        for index, word in enumerate(rest)
        if word.startswith("~") or ("=" in word and not word.startswith("-"))
    )
    first = next(overrides, len(rest))
    return [*rest[:first], f"quiet={said}", *rest[first:]]
