"""Sets up everything that a command of the Makefile needs, and nothing that is there already.

    python3 scripts/setup.py packages      virtual environment and packages of `python -m runner`
    python3 scripts/setup.py tools         the same, with linters and test tools
    python3 scripts/setup.py run           `packages`, and RISC Zero's extension
    python3 scripts/setup.py run-ZKVM      `packages`, and the extension of that zkVM alone
    python3 scripts/setup.py run-all       `packages`, and all extensions
    python3 scripts/setup.py dev           `tools`, and RISC Zero's extension
    python3 scripts/setup.py test          `tools`, and all extensions
    python3 scripts/setup.py native-tests  runs the Rust tests of all crates in native/
    python3 scripts/setup.py --retry ...   asks again for what was not available the last time

Only the standard library is used. A stamp in the virtual environment says what each step was made
from, and a step whose inputs have not changed is skipped.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from wheels import WheelScript

SUPPORTED = ((3, 11), (3, 14))
"""The first Python version that works, and the first after it that does not."""

if not SUPPORTED[0] <= sys.version_info[:2] < SUPPORTED[1]:
    sys.exit(f"[set-up] Python {sys.version.split()[0]} is not supported; use 3.11, 3.12 or 3.13")

import wheels  # noqa: E402  # it imports tomllib, which needs the version that was just checked
from steps import SetupError, apt_install, human, run, say, step  # noqa: E402
from toolchain import as_numbers  # noqa: E402

HERE = Path(__file__).resolve().parent

DEFAULT = "risc0"
"""The zkVM that is set up where none is named."""

WHEELS: dict[str, WheelScript] = {
    script.stem.removesuffix("_wheel"): cast("WheelScript", import_module(script.stem))
    for script in sorted(HERE.glob("*_wheel.py"), key=lambda path: (DEFAULT not in path.stem, path))
}
"""The steps that install an extension, by zkVM: every ``*_wheel.py`` beside this file is one."""

EXTRAS = {"packages-run": "gpu,joblib,l1,report", "packages-dev": "dev"}
"""The steps that install Python packages, and the extras of the runner that each installs."""

GOALS: dict[str, tuple[str, ...]] = {
    "packages": ("packages-run",),
    "tools": ("packages-dev",),
    "run": ("packages-run", DEFAULT),
    **{f"run-{zkvm}": ("packages-run", zkvm) for zkvm in WHEELS},
    "run-all": ("packages-run", *WHEELS),
    "dev": ("packages-dev", DEFAULT),
    "test": ("packages-dev", *WHEELS),
    "native-tests": (),
}
"""The steps of each goal, in their order."""


@dataclass(frozen=True)
class Place:
    """The folders that a set-up works in: the clone, its virtual environment, the cache folder."""

    root: Path
    cache: Path

    @property
    def venv(self) -> Path:
        """The virtual environment."""
        return self.root / ".venv"

    @property
    def python(self) -> Path:
        """The interpreter of the virtual environment."""
        return self.venv / "bin" / "python"

    def stamp(self, name: str) -> Path:
        """The file that says what a step was made from."""
        return self.venv / ".set-up" / f"{name}.json"


def cache_folder(env: Mapping[str, str]) -> Path:
    """The folder that ``RUNNER_CACHE`` names, or else one in the user's cache folder."""
    if chosen := env.get("RUNNER_CACHE"):
        return Path(chosen).expanduser().absolute()
    return Path(env.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "zk-batch-runner"


def venv_version(place: Place) -> str | None:
    """The virtual environment's Python version, or None when it cannot be used."""
    try:
        lines = (place.venv / "pyvenv.cfg").read_text().splitlines()
    except OSError:
        return None
    fields = dict(line.replace(" ", "").split("=", 1) for line in lines if "=" in line)
    version = fields.get("version", "")
    supported = SUPPORTED[0] <= as_numbers(version)[:2] < SUPPORTED[1]
    return version if supported and place.python.exists() else None


def inputs(place: Place, name: str, env: Mapping[str, str]) -> str:
    """A digest of what a step is made from. No process is started to compute it."""
    parts: dict[str, Any] = {"root": str(place.root), "python": venv_version(place)}
    if wheel := WHEELS.get(name):
        parts["source"] = wheels.source_digest(place.root / wheel.CRATE, place.root / wheels.SHARED)
        parts["switches"] = {key: env.get(key, "") for key in wheel.SWITCHES}
        parts["cpu"] = wheel.cpu(env)
    else:
        parts["project"] = (place.root / "pyproject.toml").read_text()
        parts["extra"] = EXTRAS[name]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def stamped(place: Place, name: str) -> dict[str, Any]:
    """What a step's stamp says, or an empty dict if there is none."""
    try:
        content = json.loads(place.stamp(name).read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def is_done(place: Place, name: str, env: Mapping[str, str], *, retry: bool) -> bool:
    """Whether a step was made from exactly these inputs and need not be done again."""
    if name == "packages-run" and is_done(place, "packages-dev", env, retry=retry):
        return True
    stamp = stamped(place, name)
    if stamp.get("inputs") != inputs(place, name, env):
        return False
    asked_again = retry or bool(env.get("RECURSION_SRC_PATH"))
    return not (name in WHEELS and asked_again and not stamp.get("complete"))


def do(place: Place, name: str, env: Mapping[str, str]) -> None:
    """Does one step and leaves its stamp."""
    stamp = place.stamp(name)
    stamp.parent.mkdir(exist_ok=True)
    stamp.unlink(missing_ok=True)
    content: dict[str, Any] = {"inputs": inputs(place, name, env)}
    if wheel := WHEELS.get(name):
        content["complete"] = wheel.install(place.root, place.cache, place.python, env)
    else:
        extra = EXTRAS[name]
        pip: list[str | Path] = [place.python, "-m", "pip", "install", "--quiet", "--no-input"]
        with step(f"Python packages: installing the runner with [{extra}]"):
            command = [*pip, "--disable-pip-version-check", "-e", f"{place.root}[{extra}]"]
            run(command, remedy="a network or a package index that pip knows is needed")
    part = stamp.with_suffix(".part")
    part.write_text(json.dumps(content) + "\n")
    part.replace(stamp)


def make_venv(place: Place, env: Mapping[str, str]) -> None:
    """Makes the virtual environment, and replaces one that cannot be used."""
    version = ".".join(str(part) for part in sys.version_info[:3])
    with step(f"Python environment: {place.venv} with Python {version}"):
        if place.venv.exists():
            shutil.rmtree(place.venv)
        try:
            import ensurepip  # noqa: F401
        except ImportError:
            package = f"python{sys.version_info[0]}.{sys.version_info[1]}-venv"
            if not apt_install([package], "Debian's Python has no venv without it", env):
                raise SetupError(
                    f"this Python has no ensurepip; run `apt-get install {package}`"
                ) from None
        try:
            run([sys.executable, "-m", "venv", place.venv])
        except BaseException:
            shutil.rmtree(place.venv, ignore_errors=True)
            raise


@contextmanager
def alone(cache: Path) -> Iterator[None]:
    """Holds the cache folder's lock, so that only one set-up runs at a time."""
    import fcntl

    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "set-up.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another set-up is running; waiting for it to end")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def set_up(place: Place, goal: str, env: Mapping[str, str], *, retry: bool = False) -> None:
    """Does the steps of a goal that are not done yet.

    Raises:
        SetupError: something is missing. The message says what to do.
    """
    names = GOALS[goal]
    if venv_version(place) and all(is_done(place, name, env, retry=retry) for name in names):
        return
    begin = time.monotonic()
    for name in names:
        if wheel := WHEELS.get(name):
            wheel.preflight(place.root, env)
    with alone(place.cache):
        if venv_version(place) is None:
            make_venv(place, env)
        for name in names:
            if not is_done(place, name, env, retry=retry):
                do(place, name, env)
    say(f"ready in {human(time.monotonic() - begin)} (cache folder: {place.cache})")


def main(arguments: list[str] | None = None) -> int:
    """The entry point. The exit code is 2 when something is missing."""
    parser = argparse.ArgumentParser(description="Sets up the runner in this clone.")
    parser.add_argument("goal", choices=sorted(GOALS))
    parser.add_argument("--retry", action="store_true", help="ask again for what was missing")
    options = parser.parse_args(arguments)
    if sys.platform == "win32":
        say("Windows is not supported; use WSL or a Linux container")
        return 2
    place = Place(HERE.parent, cache_folder(os.environ))
    try:
        set_up(place, options.goal, os.environ, retry=options.retry)
        if options.goal == "native-tests":
            with alone(place.cache):
                wheels.test_shared(place.root, place.cache, os.environ)
                for wheel in WHEELS.values():
                    wheel.run_tests(place.root, place.cache, os.environ)
    except SetupError as error:
        say(f"failed: {error}")
        return 2
    except OSError as error:
        say(f"failed: {error}; see RUNNER_CACHE in docs/installing.md if it is about that folder")
        return 2
    except KeyboardInterrupt:
        say("stopped; the same command continues from here")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
