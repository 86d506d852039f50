"""The receipts that a leaf's guest verifies itself, as its assumptions, and where they come from.

A config or an input names them: other leaves of the batch, files, or the cache. Whatever is not
made in this batch is anybody's until it has been verified against an image id that the user names.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from runner.batch.receipts_elsewhere import named_guest
from runner.errors import InputError
from runner.model import ReceiptKind
from runner.plan.journal import MAX_CHILDREN
from runner.plan.needs import stuck_leaf
from runner.provers.composing import NO_RECEIPT, ComposingProver

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from runner.batch.batch import Batch
    from runner.batch.receipts_elsewhere import ReceiptsElsewhere
    from runner.batch.trial import Executed
    from runner.model import Child
    from runner.plan.plan import Plan
    from runner.provers.prover import Prover

__all__ = ["refuse_missing", "with_assumptions"]

_WAYS = "give {leaf: N}, {leaves: GUEST}, {folder: F, guest: G} or {cache: G, input: VALUE}"


def with_assumptions(
    batch: Batch, given: Mapping[str, object], prover: Prover, elsewhere: ReceiptsElsewhere
) -> Batch:
    """The batch with what its leaves' guests may take as proved.

    Args:
        batch: the batch, whose leaves may name assumptions of their own.
        given: what the config says for all leaves of a guest, by the guest's name.
        prover: the prover.
        elsewhere: finds and verifies receipts that the batch does not make.

    Raises:
        InputError: an assumption is not described as it must be, there is no such leaf or receipt,
            a receipt does not verify, or leaves need each other in a cycle.
    """
    if not any(given.values()) and not any(leaf.assumptions for leaf in batch.leaves):
        return batch
    if not isinstance(prover, ComposingProver):
        problem = "takes no assumptions: its guests verify no others, but for the aggregator"
        raise InputError("prover", prover.versions.zkvm, problem, "use prover=composite")
    _check_kind(batch)
    parts = [_Given(batch, name, one, elsewhere) for name, one in given.items()]
    shared = {part.guest: part for part in parts}
    firsts = batch.plan.first_positions()
    needs: list[tuple[int, ...]] = []
    receipts: dict[int, tuple[Child, ...]] = {}
    for job, first in enumerate(firsts):
        leaf = batch.leaves[first]
        found = [part for part in (shared.get(leaf.guest or batch.guest.name),) if part is not None]
        if leaf.assumptions:
            items = json.loads(leaf.assumptions)
            found.append(
                _Given(batch, "", items, elsewhere, f"the assumptions of leaf {leaf.index}")
            )
        needs.append(tuple(dict.fromkeys(need for part in found for need in part.needs)))
        others = tuple(dict.fromkeys(one for part in found for one in part.receipts))
        if others:
            receipts[job] = others
        if len(needs[job]) + len(others) > MAX_CHILDREN:
            problem = f"leaf {leaf.index} has {len(needs[job]) + len(others)} of them"
            remedy = f"give at most {MAX_CHILDREN}"
            raise InputError("guest.assumptions", None, problem, remedy)
    plan = replace(batch.plan, needs=tuple(needs)) if any(needs) else batch.plan
    _check_order(plan, [batch.leaves[first].index for first in firsts])
    return replace(batch, plan=plan, assumptions=receipts)


def refuse_missing(batch: Batch, execute: Callable[[Sequence[int]], Sequence[Executed]]) -> None:
    """Execute the leaves with assumptions, and refuse those whose assumptions do not suffice.

    A receipt of another journal or of another program is found by this before any proof is made.

    Args:
        batch: the batch.
        execute: executes leaf jobs by their ids, the needed ones first.

    Raises:
        InputError: a guest verifies a run that none of its assumptions proves.
    """
    needing = {job for job, needed in enumerate(batch.plan.needs) if needed} | {*batch.assumptions}
    if not needing:
        return
    wanted = needing | {need for needed in batch.plan.needs for need in needed}
    firsts = batch.plan.first_positions()
    for one in execute(sorted(wanted)):
        if one.code == NO_RECEIPT:
            leaf = batch.leaves[firsts[one.job_id]]
            raise InputError(
                f"the assumptions of leaf {leaf.index}",
                _count(batch, one.job_id),
                one.failure.removesuffix(f" [{NO_RECEIPT}]"),
                "name the leaf or the receipt whose image id and journal the guest verifies",
            )


def _count(batch: Batch, job: int) -> str:
    leaves, receipts = len(batch.plan.children(job)), len(batch.assumptions.get(job, ()))
    return f"{leaves} leaves and {receipts} receipts"


def _check_kind(batch: Batch) -> None:
    """Refuse Groth16 receipts of leaves, which can be no assumptions of others."""
    if batch.prover.kind is ReceiptKind.GROTH16 and batch.plan.root is None:
        problem = "a leaf's Groth16 receipt cannot be an assumption of another leaf"
        raise InputError("prover.kind", "groth16", problem, "use prover=succinct, or aggregate")


def _check_order(plan: Plan, numbers: Sequence[int]) -> None:
    """Refuse leaves that need each other.

    Args:
        plan: the plan.
        numbers: the number of each leaf job for people.
    """
    stuck = stuck_leaf(plan.needs)
    if stuck is not None:
        problem = "needs its own receipt, by way of the leaves that it needs"
        remedy = "let no leaf need itself"
        raise InputError("assumptions", f"leaf {numbers[stuck]}", problem, remedy)


class _Given:
    """A list of assumptions: the leaf jobs that it names, and the verified receipts."""

    def __init__(
        self,
        batch: Batch,
        guest: str,
        items: object,
        elsewhere: ReceiptsElsewhere,
        field: str = "",
    ) -> None:
        self.guest = guest
        self.needs: list[int] = []
        self.receipts: list[Child] = []
        self._batch = batch
        self._elsewhere = elsewhere
        field = field or f"guest.assumptions of {guest}"
        if items is None:
            return
        if not isinstance(items, list):
            raise InputError(field, items, "not a list", _WAYS)
        for at, item in enumerate(items):
            self._add(item, f"{field}[{at}]")

    def _add(self, item: Any, field: str) -> None:  # noqa: ANN401  # whatever the user wrote
        if type(item) is int:
            item = {"leaf": item}
        keys = set(item) if isinstance(item, dict) else set()
        if keys == {"leaf"}:
            self.needs.append(self._leaf(item["leaf"], field))
        elif keys == {"leaves"}:
            self.needs += self._leaves_of(item["leaves"], field)
        elif "folder" in keys:
            self.receipts += self._elsewhere.in_folder(item, field)
        elif "cache" in keys:
            self.receipts.append(self._elsewhere.in_cache(item, field))
        else:
            raise InputError(field, item, "says of no receipt where it is", _WAYS)

    def _leaf(self, number: object, field: str) -> int:
        count = len(self._batch.leaves)
        if type(number) is not int or not 0 <= number < count:
            remedy = f"give a leaf of this batch, 0 to {count - 1}"
            raise InputError(field, number, "no such leaf", remedy)
        return self._batch.plan.leaves[number]

    def _leaves_of(self, name: object, field: str) -> list[int]:
        guest = named_guest(self._batch, name, field)
        rows = zip(self._batch.leaves, self._batch.plan.leaves, strict=True)
        own = self._batch.guest.name
        found = [job for leaf, job in rows if (leaf.guest or own) == guest.name]
        if not found:
            raise InputError(field, name, "the batch has no leaf of this guest", "name another")
        return list(dict.fromkeys(found))
