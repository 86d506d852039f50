"""What a worker does with one job, with a prover whose receipts really can fail to verify."""

from __future__ import annotations

import os
from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest

from runner.errors import InputError, ProverError, ReceiptRejectedError
from runner.model import Child, ProofJob, ReceiptKind
from runner.plan.journal import AggregationResult, aggregator_stdin
from runner.plan.merkle import leaf_hash, root
from runner.provers import worker
from runner.provers.prover import Proof, ProverSpec, load_prover
from runner.provers.verifying import verify_receipt
from runner.provers.worker import perform
from tests.fakes.guests import sample_guest
from tests.fakes.prover import ADAPTER, FakeProver, fake_receipt, forged

if TYPE_CHECKING:
    from runner.model import Guest
    from runner.provers.guests import Manifest
    from tests.fakes.behaviours import Behaviours


@pytest.fixture
def leaf_job(manifest: Manifest) -> ProofJob:
    return ProofJob(3, "leaf 3", manifest.get("sha256"), b"input", (), ReceiptKind.COMPOSITE, 2)


@pytest.fixture
def parent(manifest: Manifest) -> ProofJob:
    """An aggregation of two leaves, of which the first occurs twice."""
    guest, own = manifest.get("sha256"), manifest.get("aggregator")
    a, b = (made(guest, text) for text in (b"a", b"b"))
    claims = [(child.image_id, child.journal) for child in (a, a, b)]
    stdin = aggregator_stdin(own.image_id, claims)
    return ProofJob(9, "aggregation 9 (level 1)", own, stdin, (a, b), ReceiptKind.COMPOSITE)


def made(guest: Guest, stdin: bytes) -> Child:
    journal = sha256(stdin).digest()
    return Child(guest.image_id, journal, fake_receipt(guest.image_id, journal))


def test_a_leaf(leaf_job: ProofJob, fake_spec: ProverSpec, behaviours: Behaviours) -> None:
    outcome = perform(fake_spec, leaf_job)
    assert (outcome.job_id, outcome.kind, outcome.worker) == (3, leaf_job.kind, os.getpid())
    assert outcome.image_id == leaf_job.guest.image_id
    assert outcome.journal == sha256(b"input").digest()
    assert outcome.verifications == 1
    assert (outcome.cached, outcome.attempts) == (False, 1)
    assert outcome.cycles.total == 2**14
    assert outcome.verify_s >= 0
    assert outcome.prove_s >= 0
    assert outcome.started <= outcome.finished
    assert outcome.receipt is not None
    assert load_prover(fake_spec).verify(outcome.receipt, outcome.image_id) == outcome.journal
    (run,) = behaviours.runs()
    assert (run.guest, run.kind, run.threads, run.attempt) == ("sha256", "composite", 2, 1)


def test_an_aggregation(parent: ProofJob, fake_spec: ProverSpec) -> None:
    outcome = perform(fake_spec, parent)
    a, b = (leaf_hash(child.image_id, child.journal) for child in parent.children)
    expected = AggregationResult(parent.guest.image_id, 3, root([a, a, b]))
    assert AggregationResult.decode(outcome.journal) == expected
    assert outcome.verifications == 3  # two distinct children and its own receipt
    assert outcome.receipt is not None
    assert load_prover(fake_spec).describe(outcome.receipt).assumptions == 2


def test_a_child_given_twice_is_used_once(parent: ProofJob, fake_spec: ProverSpec) -> None:
    a, b = parent.children
    outcome = perform(fake_spec, replace(parent, children=(a, b, a, a)))
    assert outcome.verifications == 3


def test_aggregations_of_aggregations(parent: ProofJob, fake_spec: ProverSpec) -> None:
    low = perform(fake_spec, parent)
    child = Child(low.image_id, low.journal, low.receipt)
    claims = [(low.image_id, low.journal)] * 2
    stdin = aggregator_stdin(low.image_id, claims)
    high = perform(fake_spec, replace(parent, stdin=stdin, children=(child,)))
    below = AggregationResult.decode(low.journal).combined_hash
    expected = AggregationResult(low.image_id, 6, root([below, below]))
    assert AggregationResult.decode(high.journal) == expected


def bad_children(good: Child) -> dict[str, Child]:
    assert good.receipt is not None
    other = fake_receipt(good.image_id, b"another journal")
    return {
        "no receipt": replace(good, receipt=None),
        "not a receipt": replace(good, receipt=b"nonsense"),
        "empty": replace(good, receipt=b""),
        "seal flipped": replace(good, receipt=forged(good.receipt)),
        "end cut": replace(good, receipt=good.receipt[:-1]),
        "another program": replace(good, image_id=bytes(32)),
        "another journal": replace(good, receipt=other),
        "journal altered": replace(good, journal=good.journal[::-1]),
    }


@pytest.mark.parametrize("how", bad_children(made(sample_guest(), b"")))
@pytest.mark.parametrize("place", [0, 1])
def test_a_bad_child_is_refused_before_anything_is_proved(
    parent: ProofJob,
    fake_spec: ProverSpec,
    behaviours: Behaviours,
    how: str,
    place: int,
) -> None:
    children = list(parent.children)
    children[place] = bad_children(children[place])[how]
    with pytest.raises(ReceiptRejectedError) as caught:
        perform(fake_spec, replace(parent, children=tuple(children)))
    assert caught.value.what == "child of aggregation 9 (level 1)"
    assert behaviours.runs() == []


def test_a_missing_child_fails_the_guest(parent: ProofJob, fake_spec: ProverSpec) -> None:
    with pytest.raises(ProverError, match="no receipt for a child's claim") as caught:
        perform(fake_spec, replace(parent, children=parent.children[:1]))
    assert caught.value.code == "guest_failed"


@pytest.mark.parametrize(
    ("trick", "words"),
    [("forge", "seal is another run's"), ("none", "returned no receipt")],
)
def test_a_fresh_receipt_is_verified(
    leaf_job: ProofJob,
    fake_spec: ProverSpec,
    behaviours: Behaviours,
    trick: str,
    words: str,
) -> None:
    behaviours.on(trick, times=1)
    with pytest.raises(ReceiptRejectedError, match=words) as caught:
        perform(fake_spec, leaf_job)
    assert caught.value.what == "leaf 3"
    assert perform(fake_spec, leaf_job).verifications == 1


def test_a_guest_of_another_image_id_is_noticed(leaf_job: ProofJob, fake_spec: ProverSpec) -> None:
    """The image id is the manifest's, and not whatever the ELF gives."""
    guest = replace(leaf_job.guest, image_id=bytes(32))
    with pytest.raises(ReceiptRejectedError):
        perform(fake_spec, replace(leaf_job, guest=guest))


def test_a_prover_that_misreports_its_journal_is_noticed(
    leaf_job: ProofJob, fake_spec: ProverSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Misreports(FakeProver):
        def run(
            self,
            guest: Guest,
            stdin: bytes,
            children: tuple[Child, ...],
            kind: ReceiptKind,
            threads: int,
        ) -> Proof:
            proof = super().run(guest, stdin, children, kind, threads)
            return replace(proof, journal=b"something else")

    monkeypatch.setattr(worker, "load_prover", Misreports)
    with pytest.raises(ReceiptRejectedError, match="another journal than it must"):
        perform(fake_spec, leaf_job)


def test_execution_verifies_nothing_and_leaves_no_receipt(
    parent: ProofJob, fake_spec: ProverSpec
) -> None:
    children = tuple([replace(child, receipt=None) for child in parent.children])
    job = replace(parent, children=children, kind=ReceiptKind.EXECUTE)
    outcome = perform(replace(fake_spec, kind=ReceiptKind.EXECUTE), job)
    assert (outcome.receipt, outcome.verifications, outcome.verify_s) == (None, 0, 0.0)
    assert outcome.kind is ReceiptKind.EXECUTE
    assert outcome.journal == perform(fake_spec, parent).journal


def test_the_guests_failure_is_passed_on(leaf_job: ProofJob, fake_spec: ProverSpec) -> None:
    with pytest.raises(ProverError) as caught:
        perform(fake_spec, replace(leaf_job, stdin=b"!fail"))
    assert caught.value.code == "guest_failed"


def test_transient_failures_end(
    leaf_job: ProofJob, fake_spec: ProverSpec, behaviours: Behaviours
) -> None:
    behaviours.on("transient", stdin=b"input", guest="sha256", times=2)
    for _ in range(2):
        with pytest.raises(ProverError, match="internal"):
            perform(fake_spec, leaf_job)
    assert perform(fake_spec, leaf_job).job_id == 3
    assert [run.attempt for run in behaviours.runs()] == [1, 2, 3]


def test_verify_receipt_gives_the_journal(fake_spec: ProverSpec) -> None:
    prover = load_prover(fake_spec)
    receipt = fake_receipt(bytes(32), b"journal")
    assert verify_receipt(prover, receipt, bytes(32), None, "x") == b"journal"
    assert verify_receipt(prover, receipt, bytes(32), b"journal", "x") == b"journal"
    with pytest.raises(ReceiptRejectedError, match=r"cache entry ab: .*another journal"):
        verify_receipt(prover, receipt, bytes(32), b"", "cache entry ab")
    with pytest.raises(ReceiptRejectedError, match="verification_failed"):
        verify_receipt(prover, receipt, bytes([1] * 32), None, "x")


def test_what_a_fake_may_refuse(fake_spec: ProverSpec, behaviours: Behaviours) -> None:
    prover = load_prover(fake_spec)
    for kind in ReceiptKind:
        prover.require(kind)
    behaviours.refuse(ReceiptKind.GROTH16)
    with pytest.raises(InputError, match="groth16"):
        prover.require(ReceiptKind.GROTH16)
    behaviours.clear()
    prover.require(ReceiptKind.GROTH16)


def test_adapters_by_name() -> None:
    spec = ProverSpec(ADAPTER, ReceiptKind.COMPOSITE)
    assert load_prover(spec) is load_prover(spec)
    assert load_prover(spec).versions.zkvm == "fake"
    with pytest.raises(InputError, match="unknown zkVM adapter"):
        load_prover(replace(spec, adapter="nobody"))
    with pytest.raises(InputError, match="no_such_module is not installed"):
        load_prover(replace(spec, adapter="no_such_module:Prover"))


def test_an_aggregation_that_commits_another_result_is_refused(
    parent: ProofJob, fake_spec: ProverSpec
) -> None:
    honest = perform(fake_spec, parent).journal
    perform(fake_spec, replace(parent, expected=honest))
    with pytest.raises(ReceiptRejectedError, match="another result than its children demand"):
        perform(fake_spec, replace(parent, expected=honest[:-1] + b"\x00"))
