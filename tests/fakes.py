"""Stand-ins at the protocols: a prover without a zkVM, jobs in memory, a clock told the time.

``FakeProver`` makes receipts that really can fail to verify: a receipt is sealed with a hash over
the image id of the ELF that ran, the journal, the kind and the claims of its children. It proves
nothing, and is as fast as SHA-256.

What it does on demand, in any process:

- by the guest's input: one that starts with ``b"!fail"`` (or any other name of :data:`TRICKS`);
- by :class:`Behaviours`, a folder named in the environment, which worker processes inherit. It also
  counts attempts across processes and records every run.
"""

from __future__ import annotations

import functools
import json
import os
import signal
import struct
import threading
import time
from dataclasses import dataclass, field
from hashlib import sha256
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from runner.errors import InputError, ProverError
from runner.events import Event, JobFailed, JobFinished, JobRetried, JobStarted, LoadMeasured
from runner.model import (
    Child,
    Cycles,
    Guest,
    Leaf,
    Outcome,
    ProofJob,
    ReceiptInfo,
    ReceiptKind,
    Versions,
)
from runner.plan import merkle
from runner.plan.journal import AggregationResult, aggregator_stdin
from runner.provers.guests import AGGREGATOR, Manifest, read_elf
from runner.provers.prover import Proof, ProverSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from runner.plan.plan import Plan

T = TypeVar("T")
E = TypeVar("E", bound=Event)
JobEvent: TypeAlias = JobStarted | JobFinished | JobRetried | JobFailed

ADAPTER = "tests.fakes:FakeProver"
FOLDER = "FAKE_PROVER_FOLDER"
"""Environment variable with the folder of :class:`Behaviours`."""

TRICKS = ("fail", "transient", "hang", "hold", "kill", "forge", "none", "exit")
"""``fail``: the guest fails. ``transient``: the prover does. ``hang``: until the worker is ended.
``hold``: until :meth:`Behaviours.release`.
``kill``: SIGKILL to the own process. ``exit``: exit code 3. ``forge``: a receipt that does not
verify. ``none``: no receipt at all."""

MAGIC = b"fake"
_SEAL = 32


# -- the prover -------------------------------------------------------------------------------


class FakeProver:
    """See :class:`runner.provers.prover.Prover`, and this module's text."""

    def __init__(self, spec: ProverSpec) -> None:
        self.spec = spec

    @property
    def versions(self) -> Versions:
        return Versions("fake", "1.0.0", {"made": "up"})

    def require(self, kind: ReceiptKind) -> None:
        if kind.value in _rules().get("refused", []):
            raise InputError("prover", kind.value, "this fake refuses it", "use another kind")

    def image_id(self, elf: bytes) -> bytes:
        if not elf.startswith(b"\x7fELF"):
            raise ProverError("bad_elf", "not an ELF file")
        return fake_image_id(elf)

    def run(
        self,
        guest: Guest,
        stdin: bytes,
        children: tuple[Child, ...],
        kind: ReceiptKind,
        threads: int,
    ) -> Proof:
        image_id = self.image_id(read_elf(guest))
        trick = _trick(guest, stdin, kind, threads)
        _misbehave(trick)
        if trick == "hold":
            wait_while(_gate(Path(os.environ[FOLDER]), stdin))
        journal = _journal(guest, stdin, children)
        cycles = Cycles(user=1000 + len(stdin), paging=2000, total=2**14, segments=1)
        if kind is ReceiptKind.EXECUTE:
            return Proof(journal, None, cycles, "ran\n")
        for child in children:
            if child.receipt is None:
                raise ProverError("bad_argument", "a child has no receipt")
        if trick == "none":
            return Proof(journal, None, cycles)
        claims = [claim(child.image_id, child.journal) for child in children]
        receipt = fake_receipt(image_id, journal, kind, claims)
        return Proof(journal, forged(receipt) if trick == "forge" else receipt, cycles, "ran\n")

    def verify(self, receipt: bytes, image_id: bytes) -> bytes:
        seal, body = _parse(receipt)
        if seal != _sealed(image_id, body):
            raise ProverError("verification_failed", "the seal is another run's")
        journal: bytes = bytes.fromhex(json.loads(body)["journal"])
        return journal

    def describe(self, receipt: bytes) -> ReceiptInfo:
        _, body = _parse(receipt)
        data = json.loads(body)
        assumptions = len(data["children"])
        return ReceiptInfo(
            kind=data["kind"],
            seal_bytes=_SEAL * (1 + assumptions),
            segments=1,
            assumptions=assumptions,
            journal=bytes.fromhex(data["journal"]),
        )


def fake_image_id(elf: bytes) -> bytes:
    """What the fake calls a program."""
    return sha256(b"fake image id" + elf).digest()


def claim(image_id: bytes, journal: bytes) -> bytes:
    """What a child is known by in its parent's receipt."""
    return sha256(image_id + journal).digest()


def fake_receipt(
    image_id: bytes,
    journal: bytes,
    kind: ReceiptKind = ReceiptKind.COMPOSITE,
    claims: Sequence[bytes] = (),
) -> bytes:
    """A receipt that verifies."""
    data = {"kind": kind.value, "journal": journal.hex(), "children": [c.hex() for c in claims]}
    body = json.dumps(data).encode()
    return MAGIC + _sealed(image_id, body) + body


def forged(receipt: bytes) -> bytes:
    """The same receipt with one bit of its seal flipped: well-formed, and wrong."""
    at = len(MAGIC)
    return receipt[:at] + bytes([receipt[at] ^ 1]) + receipt[at + 1 :]


def leaf_journal(guest: str, stdin: bytes) -> bytes:
    """What a leaf commits: the real guests' journals for their input, else SHA-256 of it."""
    if guest == "fibonacci" and len(stdin) == 4:
        (n,) = struct.unpack("<I", stdin)
        if n > 93:
            raise ProverError("guest_failed", "guest panicked: fibonacci: n is above 93")
        a, b = 0, 1
        for _ in range(n):
            a, b = b, a + b
        return a.to_bytes(8, "little")
    if guest == "sha256" and len(stdin) >= 4:
        (length,) = struct.unpack_from("<I", stdin)
        if len(stdin) == 4 + length + -length % 4:
            return sha256(stdin[4 : 4 + length]).digest()
    return sha256(stdin).digest()


def aggregation_journal(stdin: bytes, known: frozenset[tuple[bytes, bytes]]) -> bytes:
    """What the aggregator commits, from its own reading of its input.

    Args:
        stdin: as :func:`runner.plan.journal.aggregator_stdin` writes it.
        known: claims (image id, journal) of the children given to the prover.
    """
    own, at = stdin[:32], 36
    (children,) = struct.unpack_from("<I", stdin, 32)
    claims, nodes, count = [], [], 0
    for _ in range(children):
        image_id = stdin[at : at + 32]
        (length,) = struct.unpack_from("<I", stdin, at + 32)
        journal = stdin[at + 36 : at + 36 + length]
        at += 36 + length + -length % 4
        if (image_id, journal) not in known:
            raise ProverError("guest_failed", "guest panicked: no receipt for a child's claim")
        claims.append((image_id, journal))
        if image_id == own:
            below = AggregationResult.decode(journal)
            if below.self_image_id != own:
                raise ProverError("guest_failed", "guest panicked: another program's aggregate")
            count += below.verified_count
            nodes.append(below.combined_hash)
        else:
            count += 1
            nodes.append(merkle.leaf_hash(image_id, journal))
    if stdin != aggregator_stdin(own, claims):
        raise ProverError("guest_failed", "guest panicked: input of another shape")
    return AggregationResult(own, count, merkle.root(nodes)).encode()


def _journal(guest: Guest, stdin: bytes, children: tuple[Child, ...]) -> bytes:
    if guest.name != AGGREGATOR:
        return leaf_journal(guest.name, stdin)
    claims = [(child.image_id, child.journal) for child in children]
    if len(set(claims)) != len(claims):
        raise ProverError("bad_argument", "a child is given twice")
    return aggregation_journal(stdin, frozenset(claims))


def _sealed(image_id: bytes, body: bytes) -> bytes:
    return sha256(b"seal" + sha256(image_id).digest() + body).digest()


def _parse(receipt: bytes) -> tuple[bytes, bytes]:
    start = len(MAGIC)
    seal, body = receipt[start : start + _SEAL], receipt[start + _SEAL :]
    try:
        data = json.loads(body)
        bytes.fromhex(data["journal"])
        well_formed = receipt.startswith(MAGIC) and isinstance(data["children"], list)
    except (ValueError, KeyError, TypeError):
        well_formed = False
    if not well_formed:
        raise ProverError("malformed_receipt", "not a receipt of the fake prover")
    return seal, body


# -- behaviours -------------------------------------------------------------------------------


def _misbehave(trick: str | None) -> None:
    if trick == "fail":
        raise ProverError("guest_failed", "guest panicked: told to fail")
    if trick == "transient":
        raise ProverError("internal", "told to fail for now")
    if trick == "hang":
        time.sleep(3600)
    if trick == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if trick == "exit":
        os._exit(3)


def _gate(folder: Path, stdin: bytes) -> Path:
    return folder / f"held-{sha256(stdin).hexdigest()}"


def wait_while(gate: Path) -> None:
    """Until the file is gone."""
    while gate.exists():
        time.sleep(0.005)


def _trick(guest: Guest, stdin: bytes, kind: ReceiptKind, threads: int) -> str | None:
    """Record the run and say what is to go wrong, if anything."""
    by_input = next((name for name in TRICKS if stdin.startswith(b"!" + name.encode())), None)
    folder = os.environ.get(FOLDER)
    if folder is None:
        return by_input
    attempt = _attempt(Path(folder), guest, stdin)
    run = Run(guest.name, stdin.hex(), kind.value, threads, attempt, os.getpid())
    with (Path(folder) / "runs.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(vars(run)) + "\n")  # one write, so lines stay whole
    for rule in _rules().get("rules", []):
        applies = rule["guest"] in (None, guest.name) and rule["stdin"] in (None, stdin.hex())
        if applies and (rule["times"] is None or attempt <= rule["times"]):
            return str(rule["trick"])
    return by_input


def _attempt(folder: Path, guest: Guest, stdin: bytes) -> int:
    """Count this run: one file an attempt, made by exactly one process."""
    name = sha256(guest.image_id + stdin).hexdigest()
    number = 1
    while True:
        try:
            (folder / f"{name}.{number}").touch(exist_ok=False)
        except FileExistsError:
            number += 1
        else:
            return number


def _rules() -> dict[str, Any]:
    folder = os.environ.get(FOLDER)
    path = Path(folder, "rules.json") if folder else None
    if path is None or not path.exists():
        return {}
    rules: dict[str, Any] = json.loads(path.read_bytes())
    return rules


@dataclass(frozen=True)
class Run:
    """One call of ``FakeProver.run``, as recorded before anything went wrong."""

    guest: str
    stdin: str
    kind: str
    threads: int
    attempt: int
    pid: int


class Behaviours:
    """What fake provers do and did, in all processes started while ``FOLDER`` names the folder."""

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
        """Do ``trick`` on the first ``times`` attempts (None: all) of matching runs."""
        if trick not in TRICKS:
            raise ValueError(trick)
        shown = None if stdin is None else stdin.hex()
        rule = {"trick": trick, "stdin": shown, "guest": guest, "times": times}
        self._rules["rules"].append(rule)
        self._save()

    def hold(self, stdin: bytes) -> None:
        """Let runs with this input wait."""
        _gate(self.folder, stdin).touch()
        self.on("hold", stdin=stdin)

    def release(self, stdin: bytes) -> None:
        """Let them go on."""
        _gate(self.folder, stdin).unlink()

    def refuse(self, *kinds: ReceiptKind) -> None:
        """Let ``require`` refuse these."""
        self._rules["refused"] += [kind.value for kind in kinds]
        self._save()

    def clear(self) -> None:
        """Behave again; what ran stays recorded."""
        self._rules = {"rules": [], "refused": []}
        self._save()

    def runs(self) -> list[Run]:
        """Every run so far, in the order they began."""
        try:
            text = (self.folder / "runs.jsonl").read_text(encoding="utf-8")
        except FileNotFoundError:
            return []
        return [Run(**json.loads(line)) for line in text.splitlines()]

    def _save(self) -> None:
        temp = self.folder / "rules.tmp"
        temp.write_text(json.dumps(self._rules), encoding="utf-8")
        temp.replace(self.folder / "rules.json")


# -- guests, clock, jobs ----------------------------------------------------------------------


def write_guests(folder: Path) -> Manifest:
    """Fake guests and their manifest in ``folder``."""
    (folder / "elfs").mkdir(parents=True)
    entries = {}
    for name in ("aggregator", "fibonacci", "sha256"):
        elf = b"\x7fELF" + b"\x01\x01\x01" + name.encode() * 8
        (folder / "elfs" / f"{name}.bin").write_bytes(elf)
        entries[name] = {
            "elf": f"elfs/{name}.bin",
            "elf_sha256": sha256(elf).hexdigest(),
            "image_id": fake_image_id(elf).hex(),
        }
    text = json.dumps({"format": 1, "guests": entries}, indent=2) + "\n"
    (folder / "manifest.json").write_text(text, encoding="utf-8")
    return Manifest.load(folder)


class FakeClock:
    """Monotonic seconds that pass only when told; ``slept`` are the waits asked for."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def leaf(index: int, stdin: bytes | None = None) -> Leaf:
    """A leaf of a batch; its input is its number unless given."""
    data = struct.pack("<I", index) if stdin is None else stdin
    return Leaf(index, {"n": index}, data)


@dataclass
class MemoryJobs:
    """Source and sink of a plan's jobs, in memory; see :class:`runner.executor.Jobs`.

    Attributes:
        plan: of the batch.
        guest: at the leaves.
        aggregator: above them.
        stdins: by leaf job id.
        kind: of all receipts.
        hits: what the cache has, by job id.
        outcomes: what was accepted, by job id.
        accepted: job ids in the order they were accepted.
    """

    plan: Plan
    guest: Guest
    aggregator: Guest
    stdins: Sequence[bytes]
    kind: ReceiptKind = ReceiptKind.COMPOSITE
    hits: dict[int, Outcome] = field(default_factory=dict)
    outcomes: dict[int, Outcome] = field(default_factory=dict)
    accepted: list[int] = field(default_factory=list)

    def build(self, job_id: int) -> ProofJob:
        if job_id < self.plan.leaf_jobs:
            stdin = self.stdins[job_id]
            return ProofJob(job_id, f"leaf {job_id}", self.guest, stdin, (), self.kind)
        claims = self._claims(job_id)
        stdin = aggregator_stdin(self.aggregator.image_id, claims)
        return ProofJob(job_id, f"aggregation {job_id}", self.aggregator, stdin, (), self.kind)

    def load(self, job: ProofJob) -> ProofJob:
        if job.id < self.plan.leaf_jobs:
            return job
        ids = self.plan.aggregation(job.id).children
        found = {
            pair: Child(*pair, self.outcomes[i].receipt)
            for i, pair in zip(ids, self._claims(job.id), strict=True)
        }
        return ProofJob(
            job.id, job.name, job.guest, job.stdin, tuple(found.values()), job.kind, job.threads
        )

    def lookup(self, job: ProofJob) -> Outcome | None:
        return self.hits.get(job.id)

    def accept(self, outcome: Outcome) -> None:
        self.outcomes[outcome.job_id] = outcome
        self.accepted.append(outcome.job_id)

    def expected_root(self) -> AggregationResult:
        """What the root must say."""
        ids = range(self.plan.leaf_jobs)
        journals = [leaf_journal(self.guest.name, self.stdins[i]) for i in ids]
        hashes = [merkle.leaf_hash(self.guest.image_id, journal) for journal in journals]
        combined = merkle.combined_hash(self.plan, hashes)
        return AggregationResult(self.aggregator.image_id, len(self.plan.leaves), combined)

    def _claims(self, job_id: int) -> list[tuple[bytes, bytes]]:
        children = [self.outcomes[i] for i in self.plan.aggregation(job_id).children]
        return [(child.image_id, child.journal) for child in children]


def outcome_of(job: ProofJob, *, cached: bool = False, prove_s: float = 1.0) -> Outcome:
    """A good outcome for a job, without running anything."""
    journal = _journal(job.guest, job.stdin, job.children)
    claims = [claim(child.image_id, child.journal) for child in job.children]
    execute = job.kind is ReceiptKind.EXECUTE
    return Outcome(
        job_id=job.id,
        image_id=job.guest.image_id,
        journal=journal,
        receipt=None if execute else fake_receipt(job.guest.image_id, journal, job.kind, claims),
        kind=job.kind,
        cycles=Cycles(1000, 2000, 2**14, 1),
        prove_s=0.0 if cached else prove_s,
        verify_s=0.01,
        verifications=1,
        worker=0,
        started=0.0,
        finished=prove_s,
        cached=cached,
        attempts=0 if cached else 1,
    )


@dataclass
class RecordingObserver:
    """An observer that keeps every event.

    Attributes:
        events: the events of jobs, in order.
        loads: the executor's loads (active, queued), in order.
        on_event: a function that is called with each event of a job.
    """

    events: list[Event] = field(default_factory=list)
    loads: list[tuple[int, int]] = field(default_factory=list)
    on_event: Callable[[Event], None] | None = None

    def notice(self, event: Event) -> None:
        if isinstance(event, LoadMeasured):
            self.loads.append((event.active, event.queued))
            return
        self.events.append(event)
        if self.on_event is not None:
            self.on_event(event)

    def of(self, kind: type[E]) -> list[E]:
        """The events of one kind, in order."""
        return [event for event in self.events if isinstance(event, kind)]

    def ids(self, kind: type[JobEvent]) -> list[int]:
        """The job ids of one kind of event, in order."""
        return [event.job.id for event in self.of(kind)]


@functools.cache
def sample_guest(name: str = "sha256") -> Guest:
    """A guest value with no file behind it."""
    return Guest(name, fake_image_id(name.encode()), Path("/nowhere") / name, "00" * 32)


# -- jobs for engines, importable in a worker at little cost -----------------------------------


def add(a: int, b: int = 0) -> int:
    return a + b


def echo(value: T) -> T:
    return value


def own_pid() -> int:
    return os.getpid()


def zeros(size: int) -> bytes:
    return bytes(size)


def raise_error(error: Exception) -> None:
    raise error


def end(how: str) -> None:
    """``kill`` or ``exit`` the own process."""
    _misbehave(how)


def wait_for(started: Path, gate: Path, result: int) -> int:
    """Say that the job runs, and end once ``gate`` is there."""
    started.touch()
    while not gate.exists():
        time.sleep(0.005)
    return result


def die_writing(size: int) -> bytes:
    """Write half of the answer, then die."""

    def half(pipe: Connection, buffer: bytes) -> None:
        if len(buffer) >= size:
            os.write(pipe.fileno(), buffer[: len(buffer) // 2])
            os.kill(os.getpid(), signal.SIGKILL)
        os.write(pipe.fileno(), buffer)

    Connection._send = half  # type: ignore[attr-defined]
    return bytes(size)


def die_soon(delay_s: float, size: int) -> bytes:
    """Die at some moment around the writing of the answer."""
    threading.Timer(delay_s, os.kill, (os.getpid(), signal.SIGKILL)).start()
    return bytes(size)


def unpicklable() -> Callable[[], None]:
    return lambda: None


def raise_unpicklable(*, loads: bool) -> None:
    raise (UnpicklableError if loads else UnloadableError)("one", "two")


class UnpicklableError(Exception):
    """Carries what cannot be pickled."""

    def __init__(self, *words: str) -> None:
        super().__init__(*words)
        self.lock = threading.Lock()


class UnloadableError(Exception):
    """Pickles, and raises TypeError when it is loaded."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(f"{first} {second}")


class BadCargo:
    """Pickles, and raises ProverError when it is loaded."""

    def __reduce__(self) -> tuple[Callable[[Exception], None], tuple[Exception]]:
        return raise_error, (ProverError("bad_argument", "will not load"),)
