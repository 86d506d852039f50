"""What is fuzzed: readers of files that may be anybody's, and what must hold for any bytes.

A target takes bytes and raises an error only if the reader has a fault. A reader may refuse bytes
with its own error; whatever else it raises is a fault, and so is a value that it should not have
returned. A checksum or a chain of hashes would keep a fuzzer out of what lies behind it, so the
targets of such formats also make the hashes right and read once more.
"""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runner.alerts import promql
from runner.alerts.table import ALERTS
from runner.audit.chain import GENESIS, Chain, make_line, torn
from runner.audit.check import CheckedLog
from runner.errors import (
    AuditBrokenError,
    InputError,
    LedgerCorruptError,
    LedgerNewerError,
    RunnerError,
    VerificationFailedError,
)
from runner.evm.openvm import EvmProof, commitment_of, digest_of
from runner.folder import L1_RECORD, LEAVES, RESULT, ROOT, SUMS, write_sums
from runner.l1.gas import Before, costs
from runner.l1.submission import Mode
from runner.metric_table import METRICS
from runner.monitoring import ledger_file
from runner.plan.inputs import leaves
from runner.plan.merkle import InclusionProof
from runner.provers.guests import Manifest
from runner.provers.prover import load_prover
from runner.report.checked_json import JsonObject
from runner.report.l1 import read_l1
from runner.report.read import read as read_record
from runner.untrusted import parse_json
from runner.verify.checks import verify_folder
from runner.verify.claims import adapter_of
from runner.verify.verified import PinnedIds
from tests.audit.logs import chained
from tests.evm import openvm
from tests.fakes.guests import write_guests
from tests.plan.input_specs import FIBONACCI, PAIR, SHA256
from tests.verify.folders import SPEC, make

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

__all__ = ["TARGETS", "Target"]


@dataclass(frozen=True, slots=True)
class Target:
    """A reader under test.

    Attributes:
        check: a function that raises an error if the reader has a fault over these bytes.
        seeds: inputs that the reader takes, from which a fuzzer begins.
    """

    check: Callable[[bytes], None]
    seeds: Sequence[bytes]


def _readable(error: RunnerError) -> None:
    """What an error says is one line that a terminal can show, and not as long as the file."""
    assert str(error).isprintable(), repr(str(error))
    assert len(str(error)) <= 12_000, f"a message of {len(str(error))} characters"


def checked_json(_folder: Path) -> Target:
    """JSON whose keys are unique and whose numbers are finite, and the getters of its values."""

    def check(data: bytes) -> None:
        try:
            value = parse_json(data)
        except ValueError:
            return
        # Whatever was taken can be written as JSON and means the same to another reader.
        assert json.loads(json.dumps(value, allow_nan=False)) == value
        try:
            whole = JsonObject(value, "")
        except ValueError:
            return
        for name in whole.data:
            for get in (whole.text, whole.count, whole.number, whole.seconds, whole.items):
                try:
                    found = get(name)
                except ValueError:
                    continue
                if isinstance(found, (int, float)):
                    assert math.isfinite(found)
                    assert found >= 0
                elif isinstance(found, str):
                    assert len(found.splitlines()) <= 1

    seeds = [b'{"a": 1, "b": [1.5e3, true, null], "c": {"d": "e\\u202e"}}', b"[]", b'"\\ud800"']
    return Target(check, seeds)


def ledger(_folder: Path) -> Target:
    """The metrics ledger, with its own checksum and with one that is made right."""

    def read(data: bytes) -> None:
        try:
            contents = ledger_file.decode(data)
        except (LedgerCorruptError, LedgerNewerError) as error:
            _readable(error)
            return
        assert ledger_file.decode(ledger_file.encode(contents)) == contents

    def check(data: bytes) -> None:
        read(data)
        try:
            file = json.loads(data)
            file["sha256"] = ledger_file._checksum(file["version"], file["content"])
            read(json.dumps(file).encode())
        except (ValueError, TypeError, KeyError, RecursionError):
            return

    run = {
        "run_id": "a",
        "started": 1,
        "duration_s": 2.5,
        "exit_status": 0,
        "leaves": 3,
        "kind": "composite",
    }
    row: dict[str, Any] = {"name": "m", "labels": {"a": "b"}, "value": 1}
    content = {
        "totals": [
            {**row, "bounds": [], "counts": []},
            {**row, "bounds": [0.5, 1], "counts": [1, 2, 3]},
        ],
        "gauges": [{**row, "value": -1.5, "bounds": [], "counts": []}],
        "runs": ["a", "b"],
        "recent": [run],
    }
    file = {"format": ledger_file.FORMAT, "version": 1, "content": content}
    whole = {**file, "sha256": ledger_file._checksum(1, content)}
    seeds = [ledger_file.encode(ledger_file.Contents()), json.dumps(whole).encode()]
    return Target(check, seeds)


def audit_log(_folder: Path) -> Target:
    """The chain of an audit log, and a chain that is made of the events in the bytes."""

    def holds(data: bytes) -> bool:
        chain, checked = Chain(), CheckedLog()
        try:
            for raw in data.splitlines(keepends=True):
                line = chain.take(raw)
                if line is not None:
                    checked.take(line)
            chain.end()
        except AuditBrokenError as error:
            _readable(error)
            return False
        assert checked.lines == chain.seq
        assert checked.words().isprintable()
        return True

    def remade(data: bytes) -> bytes:
        """A log of the events in the bytes; a line that is none becomes a fragment."""
        log, digest, seq, fragment = b"", GENESIS, 0, b""
        for raw in data.split(b"\n"):
            try:
                event = json.loads(raw)
                own = {"seq", "prev", "hash"}
                event = {name: value for name, value in event.items() if name not in own}
                line, digest = make_line(seq + 1, digest, event | torn(fragment[:-1]))
            except (ValueError, AttributeError, RecursionError):
                fragment += raw + b"\n"
                log += raw + b"\n"
                continue
            log, seq, fragment = log + line, seq + 1, b""
        return log

    def check(data: bytes) -> None:
        holds(data)
        log = remade(data)
        if holds(log):
            # No byte of a log that holds can be changed.
            at = int.from_bytes(data[:4], "little") % len(log)
            changed = log[:at] + bytes([log[at] ^ (1 << len(data) % 8)]) + log[at + 1 :]
            assert not holds(changed), f"byte {at}"

    events: list[dict[str, Any]] = [
        {"event": "run_started", "run": "a"},
        {"event": "submitted", "run": "a", "files": {"root.receipt": "00"}},
        {"event": "run_finished", "run": "a", "status": "ok"},
    ]
    log = chained(events)
    return Target(check, [b"".join(log), b"".join([*log[:2], b'{"seq":3,\n', *log[2:]])])


def inclusion(_folder: Path) -> Target:
    """Proofs that a leaf is in a batch."""

    def check(data: bytes) -> None:
        try:
            value = parse_json(data)
            proof = InclusionProof.from_json(value)
        except ValueError:
            return
        # A proof has one form in JSON, up to blanks and the order of keys.
        assert proof.to_json() == value
        if proof.holds():
            assert not InclusionProof.from_json({**value, "root": "00" * 32}).holds()

    leaf, other = bytes(32), bytes(range(32))
    alone = InclusionProof(0, 1, leaf, b"\x01", (), bytes(32))
    pair = InclusionProof(1, 3, leaf, b"", (("left", other), ("right", other)), other)
    return Target(check, [json.dumps(proof.to_json()).encode() for proof in (alone, pair)])


def input_file(folder: Path) -> Target:
    """Input files. The first byte chooses the format and the guest's fields."""
    names = ("a.jsonl", "a.csv")
    specs = (FIBONACCI, PAIR, SHA256)

    def check(data: bytes) -> None:
        if not data:
            return
        path = folder / names[data[0] % len(names)]
        path.write_bytes(data[1:])
        spec = specs[data[0] // len(names) % len(specs)]
        try:
            found = leaves(spec, inputs_file=path)
        except InputError as error:
            _readable(error)
            return
        # The values that were read are themselves inputs, and lead to the same batch.
        assert leaves(spec, inputs=[leaf.value for leaf in found]) == found

    seeds = [
        b'\x0010\n{"n": 20}\n',
        b'\x01n\n10\n"20"\n',
        b'\x02{"n": 1, "flag": true, "name": "a"}\n',
        b'\x03name,n,flag\n"a,\nb",18446744073709551615,true\n',
        b'\x04"text"\n{"message": "0xff"}\n',
        b"\x05message\na\n",
    ]
    return Target(check, seeds)


def expressions(_folder: Path) -> Target:
    """Expressions of alert rules, as far as the runner reads PromQL."""

    def check(data: bytes) -> None:
        text = data.decode("utf-8", "replace")
        try:
            expression = promql.read(text)
        except ValueError:
            assert len(promql.problems(text, METRICS)) == 1
            return
        found = promql.problems(text, METRICS)
        assert expression.references or "names no metric" in found

    seeds = [alert.expr.encode() for alert in ALERTS]
    return Target(check, [*seeds, b'sum by (host) (rate(l2_jobs_total{kind="a"}[5m])) > 1'])


def record(folder: Path) -> Target:
    """``result.json``, as reports read it."""
    seed = (make(folder / "batch", _guests(folder), quiet=True) / RESULT).read_bytes()
    place = folder / "read"
    place.mkdir()

    def check(data: bytes) -> None:
        (place / RESULT).write_bytes(data)
        try:
            found = read_record(place)
        except InputError as error:
            _readable(error)
            return
        assert found.run_id.isprintable() or found.run_id == ""
        assert all(job.level >= 0 for job in found.jobs)

    return Target(check, [seed, json.dumps(json.loads(seed)).encode()])


def batch(folder: Path) -> Target:
    """``result.json`` and ``leaves.jsonl`` as ``runner.verify`` reads them, beside a true receipt.

    The two files are separated by a zero byte. A batch that verifies has the genuine leaves.
    """
    guests = _guests(folder)
    place = make(folder / "batch", guests, quiet=True)
    parts = [(place / name).read_bytes() for name in (RESULT, LEAVES)]
    pins, prover = PinnedIds.of(Manifest.load(guests)), load_prover(SPEC)
    names = [line.split("  ")[1] for line in (place / SUMS).read_text().splitlines()]
    genuine = verify_folder(place, pins, prover).claims
    assert ROOT in names

    def check(data: bytes) -> None:
        said, _, listed = data.partition(b"\0")
        (place / RESULT).write_bytes(said)
        (place / LEAVES).write_bytes(listed)
        write_sums(place, names)
        for work in (lambda: verify_folder(place, pins, prover), lambda: adapter_of(place)):
            try:
                found = work()
            except (VerificationFailedError, InputError) as error:
                _readable(error)
                continue
            if not isinstance(found, str):
                assert found.claims == genuine

    small = [json.dumps(json.loads(parts[0])).encode(), parts[1]]
    return Target(check, [b"\0".join(parts), b"\0".join(small)])


def l1_record(folder: Path) -> Target:
    """``l1.json``, as reports and the status page read it."""
    place = folder / "read"
    place.mkdir()

    def check(data: bytes) -> None:
        (place / L1_RECORD).write_bytes(data)
        try:
            found = read_l1(place)
        except InputError as error:
            _readable(error)
            return
        assert found is not None
        # A page never calls a commitment verified, and nothing breaks its lines or its figures.
        assert found.what in {mode.value for mode in (Mode.VERIFIED, Mode.COMMITMENT)}
        for value in dataclasses.astuple(found):
            if isinstance(value, str):
                assert value.isprintable()
            elif isinstance(value, float):
                assert math.isfinite(value)

    root = {"image_id": "11" * 32, "verified_count": 8, "combined_hash": "22" * 32}
    chain = {"id": 1, "local": False, "client": "anvil", "fork": "Osaka", "genesis": "0x00"}
    before = Before(400, 8, 8, "eth_estimateGas")
    bare: dict[str, Any] = {
        "format": 1,
        "what": Mode.COMMITMENT.value,
        "state": "confirmed",
        "reason": "",
        "key": "33" * 32,
        "root": root,
        "registry": "0x" + "44" * 20,
        "verifier": None,
        "chain": chain,
        "transaction": "0x" + "55" * 32,
        "block": 7,
        "signed": 1,
        "by_others": False,
        "inclusion_s": 1.5,
        "confirmation_s": 2,
        "costs": costs(50, 10**9, before, 700).to_json(),
        "model_savings_percent": 87.5,
    }
    waiting = {**bare, "state": "sent", "transaction": None, "inclusion_s": None, "costs": None}
    return Target(check, [json.dumps(one).encode() for one in (bare, waiting)])


def evm_proof(folder: Path) -> Target:
    """OpenVM's proofs for contracts."""
    path = folder / "evm.proof"

    def check(data: bytes) -> None:
        path.write_bytes(data)
        try:
            found = EvmProof.read("--evm-proof", path)
        except InputError as error:
            _readable(error)
            return
        assert len(found.seal()) == 64 + 55 * 32
        assert len(found.public_values) == 32
        # A commitment has one form, so that no two proofs name one program differently.
        for commitment in (found.program, found.vm):
            assert commitment_of(digest_of(commitment)) == commitment

    return Target(check, [openvm.proof_path().read_bytes()])


def _guests(folder: Path) -> Path:
    guests = folder / "guests"
    write_guests(guests)
    return guests


TARGETS: dict[str, Callable[[Path], Target]] = {
    "audit-log": audit_log,
    "batch": batch,
    "checked-json": checked_json,
    "evm-proof": evm_proof,
    "expressions": expressions,
    "inclusion": inclusion,
    "input-file": input_file,
    "l1-record": l1_record,
    "ledger": ledger,
    "record": record,
}
"""Each target is made with a folder of its own, in which it may write."""
