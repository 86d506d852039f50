"""What the fake prover does on demand, in any process, and a record of what it did.

A test asks for a trick in one of two ways:

- by the guest's input, when it begins with ``b"!fail"`` or another name of :data:`TRICKS`;
- by :class:`Behaviours`, a folder that the environment names. Worker processes inherit it. The
  folder also counts attempts across processes, and every run is recorded there.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.errors import ProverError
from tests.fakes import calls

if TYPE_CHECKING:
    from runner.model import Guest, ReceiptKind

FOLDER_VARIABLE = "FAKE_PROVER_FOLDER"
"""The environment variable that names the folder of :class:`Behaviours`."""

TRICKS = {
    "fail": "The guest fails.",
    "print": "The guest prints PRINTED.",
    "print_and_fail": "The guest prints PRINTED, and fails with a long message.",
    "transient": "The prover fails, and may succeed when it is tried again.",
    "hang": "The run lasts until the worker is ended.",
    "hold": "The run waits for :meth:`Behaviours.release`.",
    "kill": "The process is killed by SIGKILL.",
    "exit": "The process ends with exit code 3.",
    "forge": "The receipt does not verify.",
    "none": "There is no receipt.",
    "on_gpu": "A GPU makes the proof.",
    "gpu_fails": "A GPU fails, and the CPU makes the proof.",
}
"""Every trick by its name, with what happens."""


PRINTED = "first line\n\x1b[2J\x07second \u202eline\n"
"""What a guest prints, with characters that steer a terminal."""


@dataclass(frozen=True)
class Run:
    """One call of ``FakeProver.run``, as it was recorded before anything went wrong."""

    guest: str
    stdin: str
    kind: str
    threads: int
    attempt: int
    pid: int


class Behaviours:
    """What fake provers do and did, in all processes whose environment names the folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._rules: dict[str, list[Any]] = {"rules": [], "refused": []}

    def on(
        self,
        trick: str,
        *,
        stdin: bytes | None = None,
        guest: str | None = None,
        times: int | None = None,
    ) -> None:
        """Ask for a trick.

        Args:
            trick: One of :data:`TRICKS`.
            stdin: The input of the runs that are meant; None for any input.
            guest: The name of the guest that is meant; None for any guest.
            times: The number of first attempts that are meant; None for all attempts.
        """
        if trick not in TRICKS:
            raise ValueError(trick)
        shown = None if stdin is None else stdin.hex()
        rule = {"trick": trick, "stdin": shown, "guest": guest, "times": times}
        self._rules["rules"].append(rule)
        self._save()

    def hold(self, stdin: bytes) -> None:
        """Let runs with this input wait until they are released."""
        gate(self.folder, stdin).touch()
        self.on("hold", stdin=stdin)

    def release(self, stdin: bytes) -> None:
        """Let the runs that wait go on."""
        gate(self.folder, stdin).unlink()

    def refuse(self, *kinds: ReceiptKind) -> None:
        """Let ``FakeProver.require`` refuse these kinds of receipt."""
        self._rules["refused"] += [kind.value for kind in kinds]
        self._save()

    def clear(self) -> None:
        """Ask for nothing any more. What ran stays recorded."""
        self._rules = {"rules": [], "refused": []}
        self._save()

    def runs(self) -> list[Run]:
        """Every run so far, in the order in which they began."""
        try:
            text = (self.folder / "runs.jsonl").read_text(encoding="utf-8")
        except FileNotFoundError:
            return []
        return [Run(**json.loads(line)) for line in text.splitlines()]

    def _save(self) -> None:
        temp = self.folder / "rules.tmp"
        temp.write_text(json.dumps(self._rules), encoding="utf-8")
        temp.replace(self.folder / "rules.json")


def misbehave(trick: str | None, stdin: bytes) -> None:
    """Play a trick that happens before or instead of the run. Other tricks change its receipt."""
    if trick == "fail":
        raise ProverError("guest_failed", "guest panicked: told to fail")
    if trick == "print_and_fail":
        raise ProverError("guest_failed", f"guest panicked: \x1b[31m{'P' * 10**6}", PRINTED)
    if trick == "transient":
        raise ProverError("internal", "told to fail for now")
    if trick == "hang":
        time.sleep(3600)
    if trick in {"kill", "exit"}:
        calls.end(trick)
    if trick == "hold":
        held = gate(Path(os.environ[FOLDER_VARIABLE]), stdin)
        while held.exists():
            time.sleep(0.005)


def gate(folder: Path, stdin: bytes) -> Path:
    """The file that holds runs with this input for as long as it is there."""
    return folder / f"held-{sha256(stdin).hexdigest()}"


def record(guest: Guest, stdin: bytes, kind: ReceiptKind, threads: int) -> str | None:
    """Record a run. Returns the trick that is to be played, if any."""
    by_input = next((name for name in TRICKS if stdin.startswith(b"!" + name.encode())), None)
    folder = os.environ.get(FOLDER_VARIABLE)
    if folder is None:
        return by_input
    attempt = _attempt(Path(folder), guest, stdin)
    run = Run(guest.name, stdin.hex(), kind.value, threads, attempt, os.getpid())
    with (Path(folder) / "runs.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(vars(run)) + "\n")  # one write, so that lines stay whole
    for rule in rules().get("rules", []):
        applies = rule["guest"] in (None, guest.name) and rule["stdin"] in (None, stdin.hex())
        if applies and (rule["times"] is None or attempt <= rule["times"]):
            return str(rule["trick"])
    return by_input


def rules() -> dict[str, Any]:
    """What was asked for by :class:`Behaviours`, in whichever process."""
    folder = os.environ.get(FOLDER_VARIABLE)
    path = Path(folder, "rules.json") if folder else None
    if path is None or not path.exists():
        return {}
    found: dict[str, Any] = json.loads(path.read_bytes())
    return found


def _attempt(folder: Path, guest: Guest, stdin: bytes) -> int:
    """Count this run. Each attempt has a file, which exactly one process can make."""
    name = sha256(guest.image_id + stdin).hexdigest()
    number = 1
    while True:
        try:
            (folder / f"{name}.{number}").touch(exist_ok=False)
        except FileExistsError:
            number += 1
        else:
            return number
