"""Hydra's errors as the runner's own, each one line with the field, the value and the remedy."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from hydra.errors import (
    ConfigCompositionException,
    HydraException,
    MissingConfigException,
    OverrideParseException,
)
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from runner.cli.unknown import nearest
from runner.errors import InputError, OperatingSystemError, RunnerError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["explain"]


def explain(
    error: Exception, arguments: Sequence[str], output: Path | None = None
) -> RunnerError | None:
    """Turn an error of Hydra's or of the system's into one that says what it is about.

    Args:
        error: the error that was raised.
        arguments: the command line, from which the value at fault is quoted.
        output: the folder of the run or sweep, as far as it is known.

    Returns:
        The runner's error, or None if the fault is not the user's.
    """
    if isinstance(error, MissingConfigException):
        return _missing(error)
    if isinstance(error, OverrideParseException | YAMLError):
        return _unreadable(error)
    if isinstance(error, ConfigCompositionException | OmegaConfBaseException):
        return _raised_by_resolver(error) or _composition(error, arguments)
    if isinstance(error, OSError | UnicodeDecodeError):
        return _of_the_system(error, output) if isinstance(error, OSError) else _not_utf_8(error)
    if isinstance(error, HydraException):
        return InputError("command line", " ".join(arguments), _lines(error)[0], "see --help")
    return None


def _not_utf_8(error: UnicodeDecodeError) -> InputError | None:
    """A config file that is not UTF-8, which only the call of Hydra's that reads it can name."""
    frame = error.__traceback__
    while frame is not None:
        code, known = frame.tb_frame.f_code, frame.tb_frame.f_locals
        if code.co_name == "load_config" and "full_path" in known:
            problem = f"not UTF-8 (byte {error.object[error.start]:#04x}: {error.reason})"
            return InputError("config", str(known["full_path"]), problem, "save it as UTF-8")
        frame = frame.tb_next
    return None


def _raised_by_resolver(error: BaseException) -> InputError | None:
    """The runner's own error, where a resolver of its own has refused a value."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, InputError):
        cause = cause.__cause__ or cause.__context__
    return cause


def _of_the_system(error: OSError, output: Path | None) -> RunnerError:
    name = error.filename if isinstance(error.filename, str | bytes) else ""
    path = os.fsdecode(name)
    reason = error.strerror or _lines(error)[0]
    # Where the folder cannot be made, the error may name the folder above that takes no other.
    about = Path(path).absolute()
    folder = None if output is None else output.absolute()
    if path and folder and (about.is_relative_to(folder) or folder.is_relative_to(about)):
        remedy = "choose a folder that this user can write"
        return InputError("output", path, f"cannot be written ({reason})", remedy)
    return OperatingSystemError(path, reason)


def _missing(error: MissingConfigException) -> InputError:
    group, _, choice = (error.missing_cfg_file or "").rpartition("/")
    group = group or "config"
    if error.options:
        return InputError(group, choice, "unknown", f"choose one of: {', '.join(error.options)}")
    # There is no such group, or the choice is one of a list where a single one is wanted.
    remedy = "give one name of a group that exists"
    if str(error).startswith("In "):
        remedy += "; a file changes the choice of another group by `override /GROUP: NAME`"
    return InputError(group, choice, _lines(error)[0], remedy)


def _unreadable(error: OverrideParseException | YAMLError) -> InputError:
    """What is neither an override nor YAML, with the place or with the quotes that are missing."""
    if isinstance(error, YAMLError):
        mark = getattr(error, "problem_mark", None)
        place = "" if mark is None else f"{mark.name}:{mark.line + 1}"
        problem = getattr(error, "problem", None) or _lines(error)[0]
        return InputError("config", place, f"not readable as YAML ({problem})", "correct this line")
    name, equals, value = error.override.partition("=")
    remedy = "write NAME=VALUE, with quotes around spaces and special characters"
    # A value with a bracket or a quote was not meant as plain text.
    if equals and value and re.search(r"""[][{}'"\\]""", value) is None:
        quoted = shlex.quote(f'{name}="{value}"')
        remedy += f", e.g. {quoted}"
    return InputError("command line", error.override, "cannot be read", remedy)


def _composition(error: Exception, arguments: Sequence[str]) -> InputError:
    # Hydra raises some errors of its own while it handles one of OmegaConf's, which knows more.
    inner = error.__cause__ or error.__context__
    if isinstance(error, OmegaConfBaseException) or not isinstance(inner, OmegaConfBaseException):
        inner = error
    cause: BaseException = inner
    lines = _lines(cause)
    key = _key(cause, lines[0])
    unknown = any(part in lines[0] for part in ("not in struct", "not in '", "Could not override"))
    # Hydra says which file is at fault, but not which of the overrides on the command line.
    file = re.match(r"In '([^']+)': ", str(error))
    if file is not None:
        group, _, choice = file[1].rpartition("/")
        problem = f"{key}: {lines[0]}" if key else lines[0]
        remedy = "; ".join(lines[1:]) or f"correct the file {file[1]}.yaml"
        if unknown:
            problem, remedy = f"{key} is no such setting", _nearest(key, cause)
        return InputError(group or "config", choice, problem, remedy)
    if not key:
        key = next((name for name in map(_name, arguments) if name and name in lines[0]), "")
    value = next((_value(a) for a in arguments if key and _name(a) == key), "")
    if unknown:
        return InputError(key or "command line", value, "no such setting", _nearest(key, cause))
    remedy = "; ".join(lines[1:]) or "see --help"
    return InputError(key or "command line", value, lines[0], remedy)


def _key(cause: BaseException, line: str) -> str:
    """The setting that an error is about, or an empty text if it is not known."""
    known = getattr(cause, "full_key", None)
    named = re.search(r"Could not override '([^']+)'|not a subclass of (\w+)Conf\b", line)
    if not known and named is not None:
        # OmegaConf names a section of the config by its class.
        known = named[1] or named[2].lower()
    return str(known or "")


def _nearest(key: str, cause: BaseException) -> str:
    parent = getattr(cause, "parent_node", None)
    siblings = map(str, parent) if isinstance(parent, DictConfig) else ()
    return nearest(key, siblings)


def _lines(error: BaseException) -> list[str]:
    """The lines of a message that help the user, at least one."""
    text = re.sub(r"^In '[^']+': ", "", str(error).partition("\n\nConfig search path:")[0])
    lines = [line.strip() for line in text.splitlines()]
    notes = ("full_key:", "reference_type=", "object_type=", "To append to", "See https://")
    return [line for line in lines if line and not line.startswith(notes)] or [type(error).__name__]


def _name(argument: str) -> str:
    return argument.partition("=")[0].lstrip("+~")


def _value(argument: str) -> str:
    return argument.partition("=")[2]
