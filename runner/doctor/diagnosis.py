"""Everything that the doctor finds out, as values."""

from __future__ import annotations

import hashlib
import platform
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from runner import __version__
from runner.alerts.config import unwatched
from runner.doctor import tools
from runner.doctor.gpus import GpuState, gpu_state
from runner.errors import InputError, ProverError
from runner.limits import cores, memory_bytes
from runner.model import ReceiptKind
from runner.provers.guests import Manifest, read_elf_file
from runner.provers.prover import BUILT_IN, Diagnosis, ProverSpec, adapters, load_adapter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from runner.model import Guest
    from runner.provers.prover import Prover

__all__ = ["GuestState", "ProverState", "Report", "diagnose"]


@dataclass(frozen=True, slots=True)
class ProverState:
    """The state of one zkVM adapter on this machine.

    Attributes:
        name: The name of the adapter.
        diagnosis: What the adapter can do, or None if it cannot be loaded.
        problem: Why the adapter cannot be loaded; empty if it can.
        remedy: What the user can do about that; empty if the adapter can be loaded.
    """

    name: str
    diagnosis: Diagnosis | None = None
    problem: str = ""
    remedy: str = ""

    @property
    def missing(self) -> str:
        """Why the first kind of receipt cannot be made, with the remedy; empty if it can."""
        if self.diagnosis is None:
            return f"prover {self.name}: {self.problem}; {self.remedy}"
        first = self.diagnosis.receipts[0]
        return "" if first.available else f"{first.kind} proofs: {first.reason}; {first.remedy}"


@dataclass(frozen=True, slots=True)
class GuestState:
    """The state of one guest's file, compared with the manifest.

    Attributes:
        name: The name of the guest.
        image_id: The image id in the manifest, in hex.
        state: ``ok``, ``missing``, ``altered`` (another SHA-256), ``wrong image id``, or ``not a
            program`` with the reason.
        recomputed: Whether the image id was computed again from the file.
    """

    name: str
    image_id: str
    state: str
    recomputed: bool = False


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that the doctor found.

    Attributes:
        runner: The version of the runner.
        python: The version of Python, with the path of the interpreter.
        platform: The operating system and its version.
        cpu: The name of the processor.
        cores: The number of cores that this process may use.
        memory_bytes: The memory that this process may use, or 0 if it is not known.
        gpus: The GPUs of the machine that this process may use.
        provers: The zkVM adapters, whether or not their native modules are installed.
        guests: The guests in the folder that was looked at.
        tools: The version of each tool by its name; empty if the tool was not found.
        proof_cache: The folder of the proof cache.
        proof_cache_state: Whether that folder can be used, and how much space is free.
        alerts: What the configured alerts do not tell of hosts that vanish; empty if they tell all.
        ready: Whether these guests can be proved on this machine.
        todo: What the user has to do, the most important first; empty if nothing is wrong.
    """

    runner: str
    python: str
    platform: str
    cpu: str
    cores: int
    memory_bytes: int
    gpus: GpuState
    provers: list[ProverState]
    guests: list[GuestState]
    tools: dict[str, str]
    proof_cache: str
    proof_cache_state: str
    alerts: str
    ready: bool = False
    todo: list[str] = field(default_factory=list)


def prover_state(name: str, load: Callable[[str], type[Prover]]) -> ProverState:
    """The state of one adapter, after it was loaded and asked for its diagnosis."""
    try:
        return ProverState(name, load(name).diagnose())
    except InputError as error:
        return ProverState(name, None, error.problem, error.remedy)


def guest_state(guest: Guest, prover: Prover | None) -> GuestState:
    """Compare one guest's file with the manifest.

    Args:
        guest: The guest.
        prover: The prover that computes the image id again, or None if it cannot be loaded.
    """
    image_id = guest.image_id.hex()
    try:
        content = read_elf_file(guest)
    except FileNotFoundError:
        return GuestState(guest.name, image_id, "missing")
    except OSError as error:
        return GuestState(guest.name, image_id, f"cannot be read ({error.strerror})")
    if hashlib.sha256(content).hexdigest() != guest.elf_sha256:
        return GuestState(guest.name, image_id, "altered")
    if prover is None:
        return GuestState(guest.name, image_id, "ok")
    try:
        found = prover.image_id(content)
    except ProverError as error:
        return GuestState(guest.name, image_id, f"not a program ({error})")
    state = "ok" if found == guest.image_id else "wrong image id"
    return GuestState(guest.name, image_id, state, recomputed=True)


def diagnose(  # noqa: PLR0913  # what it looks at, by keyword, for tests
    guests: Path,
    env: Mapping[str, str],
    *,
    names: Iterable[str] | None = None,
    load: Callable[[str], type[Prover]] = load_adapter,
    ask: Callable[[Sequence[str]], str] = tools.ask,
    alerts: Path | None = None,
) -> Report:
    """Find out everything, without changing anything.

    Args:
        guests: The folder with ``manifest.json``.
        env: The environment variables, which may name the cache folder.
        names: The names of the adapters to look at, or None for all that are installed.
        load: The function that loads an adapter by its name.
        ask: The function that runs a tool and returns the line with its version.
        alerts: The folder with the configuration of the alerts; None for the default one.
    """
    provers = [prover_state(name, load) for name in names or adapters()]
    states: list[GuestState] = []
    todo: list[str] = []
    wanted = next(iter(BUILT_IN))
    try:
        manifest = Manifest.load(guests)
        wanted = manifest.zkvm or wanted
        prover = _loaded(wanted, guests, load)
        states = [guest_state(guest, prover) for guest in manifest.guests.values()]
    except InputError as error:
        todo.append(str(error))
    # All guests of the folder are for one zkVM. It is no fault if other adapters cannot be loaded.
    todo = [state.missing for state in provers if state.name == wanted and state.missing] + todo
    bad = [guest.name for guest in states if guest.state != "ok"]
    if bad:
        todo.append(
            f"guests {', '.join(bad)}: not what the manifest says;"
            " `git checkout guests` brings them back, `make guests` compiles them"
        )
    folder = tools.proof_cache(env)
    return Report(
        runner=__version__,
        python=f"{platform.python_version()} ({sys.executable})",
        platform=platform.platform(),
        cpu=tools.cpu_model(),
        cores=cores(),
        memory_bytes=memory_bytes(),
        gpus=gpu_state(),
        provers=provers,
        guests=states,
        tools={name: ask(command) for name, command in tools.TOOLS.items()},
        proof_cache=str(folder),
        proof_cache_state=tools.folder_state(folder),
        alerts=_unwatched(alerts),
        ready=not todo,
        todo=todo,
    )


def _unwatched(alerts: Path | None) -> str:
    try:
        return unwatched(alerts)
    except InputError as error:
        return str(error)


def _loaded(name: str, guests: Path, load: Callable[[str], type[Prover]]) -> Prover | None:
    """The prover that computes the guests' image ids, or None if it cannot be loaded."""
    try:
        return load(name)(ProverSpec(name, ReceiptKind.EXECUTE, guests=str(guests)))
    except InputError:
        return None
