"""A prover without a zkVM, as fast as SHA-256.

It proves nothing, and its receipts really can fail to verify: a receipt is sealed with a hash over
the image id of the ELF that ran, the journal, the kind and the claims of its children.
"""

from __future__ import annotations

import json
import struct
from hashlib import sha256
from typing import TYPE_CHECKING, ClassVar

from runner.errors import InputError, ProverError
from runner.model import Child, Cycles, GpuUse, Guest, ReceiptInfo, ReceiptKind, Versions
from runner.plan import merkle
from runner.plan.journal import AggregationResult, aggregator_stdin
from runner.provers.composing import NO_RECEIPT
from runner.provers.guests import AGGREGATOR, read_elf
from runner.provers.prover import Capability, Diagnosis, Proof, ProverSpec
from tests.fakes.behaviours import PRINTED, misbehave, record, rules

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runner.gpus import Gpu

ADAPTER = "tests.fakes.prover:FakeProver"
"""The fake prover's name in settings."""

GPU_USES = {
    "on_gpu": GpuUse("GPU-fake", 0.25),
    "gpu_fails": GpuUse("GPU-fake", error="out of memory"),
}
"""What a proof says of a GPU, by the trick that asks for it."""

VERIFIES = "verifies"
"""A guest that reads an image id and a journal as one byte string, and verifies that run."""

MAGIC = b"fake"
_SEAL = 32


class FakeProver:
    """An adapter that proves nothing. See :class:`runner.provers.prover.Prover`."""

    composes: ClassVar[str] = "verify"

    def __init__(self, spec: ProverSpec) -> None:
        self.spec = spec

    @property
    def versions(self) -> Versions:
        return Versions("fake", "1.0.0", {"made": "up"})

    @classmethod
    def diagnose(cls) -> Diagnosis:
        return Diagnosis("tests", {}, (Capability("composite", available=True),))

    @property
    def gpus(self) -> tuple[Gpu, ...]:
        """There is none."""
        return ()

    @property
    def workers(self) -> None:
        """One on each core."""
        return None

    @property
    def worker_bytes(self) -> int:
        """Nobody has measured it."""
        return 0

    @property
    def aggregation_cost(self) -> None:
        """Nothing is modelled, so that groups are balanced."""
        return None

    def require(self, kind: ReceiptKind) -> None:
        if kind.value in rules().get("refused", []):
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
        trick = record(guest, stdin, kind, threads)
        misbehave(trick, stdin)
        journal = journal_of(guest, stdin, children)
        log = PRINTED if trick == "print" else ""
        cycles = Cycles(user=1000 + len(stdin), paging=2000, total=2**14, segments=1)
        if kind is ReceiptKind.EXECUTE:
            return Proof(journal, None, cycles, log)
        for child in children:
            if child.receipt is None:
                raise ProverError("bad_argument", "a child has no receipt")
        if trick == "none":
            return Proof(journal, None, cycles)
        claims = [claim(child.image_id, child.journal) for child in children]
        receipt = fake_receipt(image_id, journal, kind, claims)
        gpu = GPU_USES.get(trick or "")
        return Proof(journal, forged(receipt) if trick == "forge" else receipt, cycles, log, gpu)

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

    def on_chain_proof(self, receipt: bytes) -> bytes | None:
        _, body = _parse(receipt)
        return b"fake" if json.loads(body)["kind"] == ReceiptKind.GROTH16.value else None


def fake_image_id(elf: bytes) -> bytes:
    """The image id that the fake prover gives to a program."""
    return sha256(b"fake image id" + elf).digest()


def claim(image_id: bytes, journal: bytes) -> bytes:
    """How a child is named in its parent's receipt."""
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
    """The same receipt with one bit of its seal flipped. It is well-formed and does not verify."""
    at = len(MAGIC)
    return receipt[:at] + bytes([receipt[at] ^ 1]) + receipt[at + 1 :]


def leaf_journal(guest: str, stdin: bytes) -> bytes:
    """The journal of a leaf: what the real guest commits, or else SHA-256 of the input."""
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
    if guest == "echo":
        return stdin
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


def journal_of(guest: Guest, stdin: bytes, children: tuple[Child, ...]) -> bytes:
    claims = [(child.image_id, child.journal) for child in children]
    if guest.name == VERIFIES:
        length = struct.unpack_from("<I", stdin)[0]
        if (stdin[4:36], stdin[36 : 4 + length]) not in claims:
            raise ProverError(NO_RECEIPT, "its guest verifies a run that it has no receipt of")
    if guest.name != AGGREGATOR:
        return leaf_journal(guest.name, stdin)
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
