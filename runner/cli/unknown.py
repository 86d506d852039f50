"""Refuses settings that the schema does not know, however they came into the config.

Hydra itself refuses an unknown name only where it is plain: ``+guest.cuont=3`` adds it. Nobody
reads such a setting, so that the run would be another one than the user asked for.
"""

from __future__ import annotations

import dataclasses
import difflib
from functools import cache
from typing import TYPE_CHECKING, Any, get_args, get_origin, get_type_hints

from hydra.conf import HydraConf
from omegaconf import DictConfig, OmegaConf

from runner.cli.schema import RunnerConf
from runner.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["nearest", "refuse_unknown"]

_ALL = "see --cfg job for all settings"

_GROUPS = ("preset", "experiment")
"""The choices of ``conf/config.yaml`` that are no settings, and so are not in the schema."""

_Unknown = tuple[str, object, tuple[str, ...]]
"""The path of an unknown setting, its value, and the names that are known beside it."""


def refuse_unknown(config: DictConfig, hydra: object = None) -> None:
    """Check a composed config.

    What the schema declares as open is left to whoever reads it: the prover's adapter, the engine,
    the cache, and Hydra's launchers, sweepers and callbacks.

    Args:
        config: The settings of the runner. A part ``hydra`` in it is passed over.
        hydra: The settings of Hydra, or None to check only the runner's.

    Raises:
        InputError: A name is not in the schema.
    """
    own, hydras = _plain(config), {} if hydra is None else _plain(hydra)
    own.pop("hydra", None)
    hydras.pop("env", None)  # a group of Hydra's own that is missing in its schema
    found = (*_unknown("", own, RunnerConf), *_unknown("hydra", hydras, HydraConf))
    for path, value, siblings in found:
        raise InputError(path, value, "no such setting", nearest(path, siblings))


def nearest(path: str, siblings: Iterable[str]) -> str:
    """What to write instead of an unknown setting: the nearest known name, if one is near.

    Args:
        path: The unknown setting with all its parts, e.g. ``guest.cuont``.
        siblings: The names that are known in the same place.
    """
    if path in _GROUPS:
        return f"begin a file in conf/{path} with `# @package _global_`"
    folder, _, name = path.rpartition(".")
    prefix = f"{folder}." if folder else ""
    # A near name in the same place is what was meant, before one with the same ending elsewhere.
    here = siblings if folder else (*siblings, *(one for one in _known() if "." not in one))
    beside = {one: f"{prefix}{one}" for one in here}
    elsewhere = {one.rpartition(".")[2]: one for one in reversed(_known())}
    for names, cutoff in ((beside, 0.6), (elsewhere, 0.75)):
        for one in difflib.get_close_matches(name, names, 1, cutoff):
            return f"the nearest known name is {names[one]}; {_ALL}"
    return _ALL


def _plain(config: object) -> dict[Any, Any]:
    plain = OmegaConf.to_container(config, resolve=False)
    if not isinstance(plain, dict):
        raise TypeError("a composed config is a mapping")
    return plain


@cache
def _known() -> tuple[str, ...]:
    return (*_names("", RunnerConf), *_GROUPS)


def _names(prefix: str, schema: type) -> Iterator[str]:
    for name, annotation in get_type_hints(schema).items():
        yield f"{prefix}{name}"
        if isinstance(annotation, type) and dataclasses.is_dataclass(annotation):
            yield from _names(f"{prefix}{name}.", annotation)


def _unknown(path: str, value: object, annotation: Any) -> Iterator[_Unknown]:  # noqa: ANN401
    """Yield each name below ``path`` that the schema does not have."""
    arguments = get_args(annotation)
    if isinstance(value, dict) and dataclasses.is_dataclass(annotation):
        known = get_type_hints(annotation)
        for name, one in value.items():
            below = f"{path}.{name}" if path else str(name)
            if name in known:
                yield from _unknown(below, one, known[name])
            else:
                yield below, one, tuple(known)
    elif isinstance(value, dict) and get_origin(annotation) is dict:
        for name, one in value.items():
            yield from _unknown(f"{path}.{name}", one, arguments[1])
    elif isinstance(value, list) and get_origin(annotation) is list:
        for index, one in enumerate(value):
            yield from _unknown(f"{path}[{index}]", one, arguments[0])
