"""What this machine can prove, and what is missing, as values."""

from __future__ import annotations

import hashlib
import platform
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from runner import __version__
from runner.doctor import tools
from runner.engines.machine import cores, memory_bytes
from runner.errors import InputError, ProverError
from runner.model import ReceiptKind
from runner.provers.guests import Manifest
from runner.provers.prover import BUILT_IN, Diagnosis, ProverSpec, adapters, load_adapter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from runner.model import Guest
    from runner.provers.prover import Prover

__all__ = ["GuestState", "ProverState", "Report", "diagnose"]


@dataclass(frozen=True, slots=True)
class ProverState:
    """One zkVM adapter on this machine.

    Attributes:
        name: The name of the adapter.
        diagnosis: What it can do; None where it cannot be loaded.
        problem: Why it cannot be loaded, or else empty.
        remedy: What to do about that.
    """

    name: str
    diagnosis: Diagnosis | None = None
    problem: str = ""
    remedy: str = ""

    @property
    def missing(self) -> str:
        """Why its first kind of receipt cannot be made, and the remedy; empty where it can."""
        if self.diagnosis is None:
            return f"prover {self.name}: {self.problem}; {self.remedy}"
        first = self.diagnosis.receipts[0]
        return "" if first.available else f"{first.kind} proofs: {first.reason}; {first.remedy}"


@dataclass(frozen=True, slots=True)
class GuestState:
    """One guest of the manifest against the file on disk.

    Attributes:
        name: as in the manifest.
        image_id: as in the manifest, hex.
        state: ``ok``, ``missing``, ``altered`` (SHA-256) or ``wrong image id``.
        recomputed: whether the image id was computed anew from the file.
    """

    name: str
    image_id: str
    state: str
    recomputed: bool = False


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that the doctor found.

    Attributes:
        provers: The zkVM adapters, installed or not.
        guests: The guests of the folder that was looked at.
        ready: Whether these guests can be proved here.
        todo: What to do, the most important first; empty where nothing is wrong.
    """

    runner: str
    python: str
    platform: str
    cpu: str
    cores: int
    memory_bytes: int
    provers: list[ProverState]
    guests: list[GuestState]
    tools: dict[str, str]
    proof_cache: str
    proof_cache_state: str
    ready: bool = False
    todo: list[str] = field(default_factory=list)


def prover_state(name: str, load: Callable[[str], type[Prover]]) -> ProverState:
    """Load one adapter and ask it for its diagnosis."""
    try:
        return ProverState(name, load(name).diagnose())
    except InputError as error:
        return ProverState(name, None, error.problem, error.remedy)


def guest_state(guest: Guest, prover: Prover | None) -> GuestState:
    """Compare one guest's file with what the manifest says of it.

    Args:
        guest: The guest.
        prover: It computes the image id anew; None where it cannot be loaded.
    """
    image_id = guest.image_id.hex()
    try:
        content = guest.elf_path.read_bytes()
    except OSError:
        return GuestState(guest.name, image_id, "missing")
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


def diagnose(
    guests: Path,
    env: Mapping[str, str],
    *,
    names: Iterable[str] | None = None,
    load: Callable[[str], type[Prover]] = load_adapter,
    ask: Callable[[Sequence[str]], str] = tools.ask,
) -> Report:
    """Look at everything, and change nothing.

    Args:
        guests: The folder with ``manifest.json``.
        env: The environment, which may name the cache folder.
        names: The names of the adapters to look at; None for all that are installed.
        load: Loads an adapter by its name.
        ask: Runs a tool and gives the first line that it prints.
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
    # The guests are of one zkVM; that others are missing is no fault.
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
        provers=provers,
        guests=states,
        tools={name: ask(command) for name, command in tools.TOOLS.items()},
        proof_cache=str(folder),
        proof_cache_state=tools.folder_state(folder),
        ready=not todo,
        todo=todo,
    )


def _loaded(name: str, guests: Path, load: Callable[[str], type[Prover]]) -> Prover | None:
    """The prover that computes the guests' image ids, or None where it cannot be loaded."""
    try:
        return load(name)(ProverSpec(name, ReceiptKind.EXECUTE, guests=str(guests)))
    except InputError:
        return None
