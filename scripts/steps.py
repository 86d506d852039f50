"""What the set-up scripts share: progress lines, commands, and the installation of packages."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

__all__ = [
    "SetupError",
    "apt_install",
    "apt_prefix",
    "ask",
    "enabled",
    "human",
    "run",
    "say",
    "step",
]


class SetupError(Exception):
    """The set-up cannot go on. The message is one line and names the remedy."""


def say(text: str) -> None:
    """Prints a line of progress to standard error, which keeps it apart from a command's output."""
    print(f"[set-up] {text}", file=sys.stderr, flush=True)


def human(seconds: float) -> str:
    """A duration as people say it: ``0.4 s``, ``12 s``, ``5 min 44 s``."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    return f"{whole} s" if whole < 60 else f"{whole // 60} min {whole % 60} s"


@contextmanager
def step(what: str) -> Iterator[None]:
    """Says what begins and, if it succeeds, how long it took."""
    say(f"{what} ...")
    begin = time.monotonic()
    yield
    say(f"{what}: done in {human(time.monotonic() - begin)}")


def enabled(env: Mapping[str, str], name: str) -> bool:
    """Whether a switch such as ``RUNNER_CUDA`` is on."""
    return env.get(name, "").strip().lower() in {"1", "true", "yes", "on"}


def run(
    command: Sequence[str | Path],
    *,
    env: Mapping[str, str] | None = None,
    remedy: str = "see the lines above",
) -> None:
    """Runs a command that a person may watch. Its output goes to standard error.

    Raises:
        SetupError: the command is not there, or it failed.
    """
    words = [str(word) for word in command]
    sys.stderr.flush()
    try:
        code = subprocess.run(words, env=env, stdin=subprocess.DEVNULL, stdout=2, check=False)
    except OSError as error:
        raise SetupError(f"{words[0]}: {error.strerror}; {remedy}") from error
    if code.returncode != 0:
        raise SetupError(f"`{shlex.join(words)}` failed (exit {code.returncode}); {remedy}")


def ask(*command: str | Path) -> str:
    """The output of a short command, or an empty string if it is not there or fails."""
    try:
        done = subprocess.run(
            [str(word) for word in command],
            capture_output=True,
            stdin=subprocess.DEVNULL,
            text=True,
            timeout=30,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def apt_prefix(
    env: Mapping[str, str],
    *,
    which: Callable[[str], str | None] = shutil.which,
    uid: Callable[[], int] = os.geteuid,
    ask: Callable[..., str] = ask,
) -> list[str] | None:
    """The words before ``apt-get`` in a command line here, or None if it may not be called.

    Root calls it directly, and others only through a sudo that asks for no password.
    """
    if enabled(env, "RUNNER_NO_INSTALL") or which("apt-get") is None:
        return None
    quiet = ["env", "DEBIAN_FRONTEND=noninteractive"]
    if uid() == 0:
        return quiet
    if which("sudo") and ask("sudo", "-n", "echo", "yes") == "yes":
        return ["sudo", "-n", *quiet]
    return None


def apt_install(packages: Sequence[str], why: str, env: Mapping[str, str]) -> bool:
    """Installs Debian packages where that is allowed, and says so.

    Returns:
        Whether they are installed now.
    """
    prefix = apt_prefix(env)
    if prefix is None:
        return False
    names = " ".join(packages)
    try:
        with step(f"apt-get install {names} ({why}; RUNNER_NO_INSTALL=1 forbids this)"):
            apt = [*prefix, "apt-get", "-qq", "-o", "DPkg::Lock::Timeout=300"]
            run([*apt, "update"])
            run([*apt, "install", "-y", "--no-install-recommends", *packages])
    except SetupError as error:
        say(str(error))
        return False
    return True
