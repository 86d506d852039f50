"""The user's own program as the encoder of inputs: a command, or a function of a Python module.

The config that names the program is the user's own, and so is the program. What it prints and how
long it takes is bounded all the same, because a mistake in it must not hang a batch.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from runner import threads
from runner.codec.values import UnusableError
from runner.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["MOST_BYTES", "Command", "own_encoder"]

MOST_BYTES = 256 << 20
"""The most bytes that one input may have: as many as a line of a file of inputs."""

_TIMEOUT_S = 60.0
_MOST_WORDS = 4096
_FIELD = "guest.encode"
_REMEDY = "give a list such as [./encode, --fast], or MODULE:FUNCTION"


def own_encoder(given: object) -> Callable[[object], bytes]:
    """The encoder that ``guest.encode`` names.

    Args:
        given: ``MODULE:FUNCTION``, or a command as a list of words. A function gets the value and
            returns the guest's stdin. A command gets the value as one line of JSON on its standard
            input, and its standard output is the guest's stdin. It is started for each input,
            without a shell.

    Raises:
        InputError: it names no such program.
    """
    if isinstance(given, (list, tuple)) and given and all(isinstance(one, str) for one in given):
        return Command(tuple(given))
    if not isinstance(given, str) or given.count(":") != 1:
        raise InputError(_FIELD, given, "no program", _REMEDY)
    module, _, name = given.partition(":")
    if not all(part.isidentifier() for part in (*module.split("."), *name.split("."))):
        raise InputError(_FIELD, given, "no program", _REMEDY)
    if os.getcwd() not in sys.path:  # noqa: PTH109  # a text, as sys.path has them
        # `python -m` looks there as well. It comes last, so that no file hides a library.
        sys.path.append(os.getcwd())  # noqa: PTH109
    try:
        function: object = importlib.import_module(module)
        for part in name.split("."):
            function = getattr(function, part)
    except Exception as error:
        reason = f"cannot be imported ({type(error).__name__}: {error})"
        raise InputError(_FIELD, given, reason, _REMEDY) from error
    if not callable(function):
        raise InputError(_FIELD, given, "is no function", _REMEDY)
    return _checked(function, given)


def _checked(function: Callable[[object], object], name: str) -> Callable[[object], bytes]:
    def encode(value: object) -> bytes:
        try:
            data = function(value)
        except Exception as error:  # whatever the user's function raises
            problem = f"{name} raised {type(error).__name__}: {error}"
            raise UnusableError(value, problem, f"mend the value or {_FIELD}") from error
        if not isinstance(data, (bytes, bytearray)):
            problem = f"{name} returned {type(data).__name__}, not bytes"
            raise UnusableError(value, problem, f"mend {_FIELD}")
        return bytes(data)

    return encode


@dataclass(frozen=True, slots=True)
class Command:
    """A command that encodes one input.

    Attributes:
        words: the program and its arguments.
        timeout_s: the most seconds that it may take.
        most: the most bytes that it may print.
    """

    words: tuple[str, ...]
    timeout_s: float = _TIMEOUT_S
    most: int = MOST_BYTES

    def __call__(self, value: object) -> bytes:
        """Run the command on a value. Raises UnusableError."""
        with tempfile.TemporaryFile() as given:
            given.write(json.dumps(value, ensure_ascii=False).encode() + b"\n")
            given.seek(0)
            try:
                return self._run(given)
            except OSError as error:
                reason = error.strerror or str(error)
                raise InputError(_FIELD, self.words[0], reason, _REMEDY) from None
            except _RefusedError as error:
                problem = f"{self.words[0]}: {error}"
                raise UnusableError(value, problem, f"mend the value or {_FIELD}") from None

    def _run(self, given: IO[bytes]) -> bytes:
        with subprocess.Popen(  # noqa: S603  # a list of words of the user's own config, no shell
            self.words,
            stdin=given,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        ) as process:
            assert process.stdout is not None  # noqa: S101  # it is a pipe
            assert process.stderr is not None  # noqa: S101
            expired = threading.Event()

            def expire() -> None:
                expired.set()
                _kill(process)

            timer = threading.Timer(self.timeout_s, expire)
            words: list[bytes] = []
            try:
                timer.start()
                drain = threads.start("drain", _drain, process.stderr, words)
                printed = process.stdout.read(self.most + 1)
                if len(printed) > self.most:
                    raise _RefusedError(f"it printed more than {self.most} bytes")
                code = process.wait()
            finally:
                timer.cancel()
                _kill(process)
            drain.join(1.0)
        if expired.is_set():
            raise _RefusedError(f"no result within {self.timeout_s:g} s")
        if code:
            said = b"".join(words)[:_MOST_WORDS].decode("utf-8", "replace").strip()
            raise _RefusedError(f"exit code {code}" + (f": {said}" if said else ""))
        return printed


class _RefusedError(Exception):
    """The command did not encode a value."""


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End a command and all that it has started, if any of it still runs."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def _drain(pipe: IO[bytes], words: list[bytes]) -> None:
    """Read a pipe to its end, so that its writer never waits, and keep its start."""
    with contextlib.suppress(OSError, ValueError):
        while piece := pipe.read(_MOST_WORDS):
            if len(words) < 2:
                words.append(piece)
