"""A prover without a zkVM whose runs may have several segments.

A run over an input that begins with ``!long N `` has N segments. Their receipts can fail to verify.
They are joined for receipts that are not composite.
With ``!long N most M `` a process that proves a segment of more than 2^M cycles aborts, as one does
that gets no memory.
"""

from __future__ import annotations

import json
import os
import re
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.errors import ProverError
from runner.model import Cycles, Guest, LongRun, ReceiptKind
from runner.provers.guests import read_elf
from tests.fakes.behaviours import misbehave, record
from tests.fakes.prover import FakeProver, claim, fake_receipt, forged, journal_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from runner.model import Child, GpuUse
    from runner.provers.prover import Proof

ADAPTER = "tests.fakes.long_prover:LongProver"
"""The fake prover's name in settings."""

OWN_CYCLES = (1000, 2000)
"""The user and paging cycles of every long run."""

LARGEST = 20
"""The size of the segments of a run that is not cut smaller, as a power of two of cycles."""


class LongProver(FakeProver):
    """An adapter that proves nothing. See :class:`runner.provers.segments.JoiningProver`."""

    @property
    def segment_sizes(self) -> range:
        return range(14, LARGEST + 1)

    def run_if_short(  # what a run is made of
        self,
        guest: Guest,
        stdin: bytes,
        children: tuple[Child, ...],
        kind: ReceiptKind,
        *,
        threads: int,
        seed: bytes,
        halvings: int = 0,
        most_po2: int = 0,
    ) -> Proof | LongRun:
        assert len(seed) == 32
        po2 = min(LARGEST - halvings, most_po2 or LARGEST)
        segments = (segments_of(stdin) or 1) << (LARGEST - po2)
        if segments == 1:
            needs_memory(stdin, po2)
            return self.run(guest, stdin, children, kind, threads)
        misbehave(record(guest, stdin, kind, threads), stdin)
        journal = journal_of(guest, stdin, children)
        cycles = Cycles(*OWN_CYCLES, segments << po2, segments)
        joins = kind is not ReceiptKind.COMPOSITE
        return LongRun(journal, cycles, po2, (po2,) * segments, "ran\n", joins=joins)

    def cut(  # what a run is made of
        self,
        guest: Guest,
        stdin: bytes,
        children: tuple[Child, ...],
        run: LongRun,
        *,
        seed: bytes,
        sink: Callable[[int, bytes], object],
    ) -> None:
        del children
        image_id = self.image_id(read_elf(guest))
        run_id = sha256(image_id + stdin + seed).hexdigest()
        for index in range(len(run.sizes)):
            segment = {"image": image_id.hex(), "run": run_id, "index": index}
            segment |= {"po2": run.segment_po2, "stdin": stdin.hex(), "of": len(run.sizes)}
            sink(index, json.dumps(segment).encode())

    def prove_segment(self, segment: bytes, threads: int) -> tuple[bytes, GpuUse | None]:
        data = json.loads(segment)
        # A rule for one segment names its position as the input.
        stdin = b"%d" % data["index"]
        trick = record(step_guest("segment", data["run"]), stdin, ReceiptKind.COMPOSITE, threads)
        needs_memory(bytes.fromhex(data["stdin"]), data["po2"])
        misbehave(trick, stdin)
        receipt = _sealed(segment) + segment
        return forged(receipt) if trick == "forge" else receipt, None

    def verify_segment(self, receipt: bytes, segment: bytes) -> None:
        if receipt != _sealed(segment) + segment:
            raise ProverError("verification_failed", "the seal is another segment's")

    def assemble(  # the protocol has it
        self,
        receipts: Sequence[bytes],
        children: tuple[Child, ...],
        journal: bytes,
        kind: ReceiptKind,
        threads: int,
    ) -> bytes:
        del threads
        found: list[dict[str, Any]] = []
        for index, receipt in enumerate(receipts):
            found.append(_opened(index, receipt))
        if [one["index"] for one in found] != list(range(len(receipts))):
            raise ProverError("verification_failed", "segments are missing")
        claims = [claim(child.image_id, child.journal) for child in children]
        return fake_receipt(bytes.fromhex(found[0]["image"]), journal, kind, claims)

    def lift(self, receipt: bytes, threads: int) -> tuple[bytes, GpuUse | None]:
        segment = _opened(0, receipt)
        trick = self._recorded("lift", segment, b"%d" % segment["index"], threads)
        return forged(_lifted(segment)) if trick == "forge" else _lifted(segment), None

    def verify_lifted(self, lifted: bytes, receipt: bytes) -> None:
        if lifted != _lifted(_opened(0, receipt)):
            raise ProverError("verification_failed", "it proves other segments")

    def join(self, left: bytes, right: bytes, threads: int) -> tuple[bytes, GpuUse | None]:
        first, second = _opened(0, left), _opened(1, right)
        joined = _joined(first, second)
        trick = self._recorded("join", first, b"%d" % second["first"], threads)
        return forged(joined) if trick == "forge" else joined, None

    def verify_joined(self, joined: bytes, left: bytes, right: bytes) -> None:
        if joined != _joined(_opened(0, left), _opened(1, right)):
            raise ProverError("verification_failed", "it proves other segments")

    def resolve(  # the protocol has it
        self,
        joined: bytes,
        children: tuple[Child, ...],
        journal: bytes,
        kind: ReceiptKind,
        threads: int,
    ) -> bytes:
        whole = _opened(0, joined)
        self._recorded("resolve", whole, b"", threads)
        if (whole["first"], whole["count"]) != (0, whole["of"]):
            raise ProverError("verification_failed", "segments are missing")
        claims = [claim(child.image_id, child.journal) for child in children]
        return fake_receipt(bytes.fromhex(whole["image"]), journal, kind, claims)

    def _recorded(self, step: str, part: dict[str, Any], stdin: bytes, threads: int) -> str | None:
        trick = record(step_guest(step, part["run"]), stdin, self.spec.kind, threads)
        misbehave(trick, stdin)
        return trick


def step_guest(step: str, run: str) -> Guest:
    """What is recorded of the proof of a part of a run in the place of a guest."""
    return Guest(step, f"{step} {run}".encode(), Path(), "")


def segments_of(stdin: bytes) -> int | None:
    """The number of segments of a run over this input, or None if it has one."""
    found = re.match(rb"(?:....)?!long (\d+) ", stdin, re.DOTALL)
    return None if found is None else int(found[1])


def needs_memory(stdin: bytes, po2: int) -> None:
    """End this process if there is no memory for a segment of this size."""
    found = re.match(rb"(?:....)?!long \d+ most (\d+) ", stdin, re.DOTALL)
    if found is not None and po2 > int(found[1]):
        os.abort()


def _opened(position: int, receipt: bytes) -> dict[str, Any]:
    """What a receipt proves, which was given at this position."""
    body = receipt[36:]
    if receipt[:36] != _sealed(body):
        raise ProverError("bad_segment", f"{position}: the seal is another segment's")
    found: dict[str, Any] = json.loads(body)
    return found


def _lifted(segment: dict[str, Any]) -> bytes:
    same = {name: segment[name] for name in ("image", "run", "of")}
    body = json.dumps(same | {"first": segment["index"], "count": 1}).encode()
    return _sealed(body) + body


def _joined(left: dict[str, Any], right: dict[str, Any]) -> bytes:
    follows = right["first"] == left["first"] + left["count"]
    if not follows or left["run"] != right["run"]:
        raise ProverError("verification_failed", "the second does not follow the first")
    body = json.dumps(left | {"count": left["count"] + right["count"]}).encode()
    return _sealed(body) + body


def _sealed(segment: bytes) -> bytes:
    return b"fake" + sha256(b"segment" + segment).digest()
