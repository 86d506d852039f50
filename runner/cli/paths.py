"""The settings that are paths, and the one rule for them: ``~`` at the start is a home folder.

It stands in files of settings, and on the command line in quotes that Hydra sees
(``'audit.file="~/a.jsonl"'``), because a shell replaces it only at the start of a word.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import OmegaConf

from runner.errors import InputError

if TYPE_CHECKING:
    from hydra.conf import HydraConf

    from runner.cli.schema import RunnerConf

__all__ = ["PATHS", "check_hydra", "expand", "expand_all", "register"]

PATHS = (
    *("output", "guests", "guest.elf", "guest.inputs_file", "metrics.textfile", "metrics.ledger"),
    *("audit.file", "cache.folder", "l1.keystore", "l1.password_file", "l1.state"),
)
"""The settings that are paths, by their dotted names."""


def expand(field: str, text: str) -> str:
    """A path with ``~`` or ``~USER`` at its start replaced by the home folder that it stands for.

    Args:
        field: the setting, for the error.
        text: the path as it was given. A file whose name starts with ``~`` is given as ``./~NAME``.

    Raises:
        InputError: the home folder is not known.
    """
    if not text.startswith("~"):
        return text
    try:
        return str(Path(text).expanduser())
    except RuntimeError:
        remedy = "write the path in full, or ./~ for a name that starts with ~"
        raise InputError(field, text, "this home folder is not known", remedy) from None


def expand_all(conf: RunnerConf) -> None:
    """Apply :func:`expand` to all :data:`PATHS` of a config, in place. Raises InputError."""
    for field in PATHS:
        *parents, name = field.split(".")
        place: Any = conf
        for parent in parents:
            place = getattr(place, parent)
        values = place if isinstance(place, dict) else vars(place)
        if isinstance(values.get(name), str):
            values[name] = expand(field, values[name])


def check_hydra(hydra: HydraConf) -> None:
    """Refuse an output folder in Hydra's own settings whose home folder is not known.

    Raises:
        InputError: it begins with ``~`` still, although every home folder that is known has been
            put in its place.
    """
    for kind in ("run", "sweep"):
        expand(f"hydra.{kind}.dir", str(getattr(hydra, kind).dir))


def register() -> None:
    """Register the rule as the resolver that ``conf/config.yaml`` uses for the output folder.

    Hydra makes that folder itself, before there are settings.
    """
    OmegaConf.register_new_resolver(
        "expanded", lambda text: expand("output", str(text)), replace=True
    )
