"""The record of a batch on an L1, ``l1.json`` in the batch's folder, and what is said of it.

``result.json`` is finished, summed and maybe signed before anything is submitted, so the record of
the submission is a file of its own beside it. It is the submitter's word. What is on the chain is
what ``python -m runner.l1 verify`` asks the chain.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from runner.evm.registry import NOBODY
from runner.evm.transaction import GWEI
from runner.files import atomic_write
from runner.folder import L1_RECORD
from runner.l1.gas import Costs, costs
from runner.l1.submission import Mode
from runner.plan.savings_model import estimate
from runner.text import duration

if TYPE_CHECKING:
    from runner.l1.session import Settled

__all__ = ["costs_of", "l1_record", "rows", "write_record"]

FORMAT = 1


def costs_of(settled: Settled) -> Costs | None:
    """What a batch has cost, or None where no transaction of ours is in a block."""
    tracked, deployed = settled.tracked, settled.deployment
    if tracked.gas_used is None or tracked.price is None or tracked.others:
        return None
    gas = None if deployed is None else deployed.gas_used
    return costs(tracked.gas_used, tracked.price, settled.before, gas)


def l1_record(settled: Settled) -> dict[str, Any]:
    """The record as JSON values."""
    batch, tracked, found = settled.batch, settled.tracked, costs_of(settled)
    sent, leaves = tracked.first_sent, batch.root.verified_count
    return {
        "format": FORMAT,
        "what": tracked.submission.mode.value,
        "state": tracked.state.value,
        "reason": tracked.reason,
        "key": batch.key.hex(),
        "root": {
            "image_id": batch.root.self_image_id.hex(),
            "verified_count": batch.root.verified_count,
            "combined_hash": batch.root.combined_hash.hex(),
        },
        "registry": settled.registry,
        "verifier": None if settled.verifier == NOBODY else settled.verifier,
        "verifier_warning": settled.warning,
        "chain": asdict(settled.chain),
        "transaction": tracked.mined,
        "block": tracked.block,
        "signed": settled.attempts,
        "by_others": tracked.others,
        "inclusion_s": _since(sent, tracked.included_at),
        "confirmation_s": _since(sent, tracked.confirmed_at),
        "costs": None if found is None else found.to_json(),
        "model_savings_percent": estimate(leaves, leaves).gas_savings_percent,
    }


def write_record(settled: Settled) -> None:
    """Write the record into the batch's folder.

    Raises:
        OSError: it could not be written.
    """
    text = json.dumps(l1_record(settled), indent=1) + "\n"
    atomic_write(settled.batch.folder / L1_RECORD, text.encode())


def rows(record: dict[str, Any]) -> dict[str, str]:
    """What people are told of a record, as names and texts of rows."""
    chain, cost = record["chain"], record["costs"]
    where = f"chain {chain['id']}{' (local, it has ended)' if chain['local'] else ''}"
    why = f" ({record['reason']})" if record["reason"] else ""
    found = {
        "root on the L1": record["what"],
        "state": f"{record['state']}{why}",
        "chain": f"{where}, {chain['client']}, fork {chain['fork']}",
        "registry": record["registry"],
        "key": record["key"],
    }
    if record["verifier_warning"] is not None and record["what"] == Mode.VERIFIED:
        found["root on the L1"] += f" ({record['verifier_warning']})"
    if record["transaction"] is not None:
        found["transaction"] = f"{record['transaction']} in block {record['block']}"
    if record["inclusion_s"] is not None:
        confirmed = record["confirmation_s"]
        after = "" if confirmed is None else f", confirmed after {duration(confirmed)}"
        found["latency"] = f"included after {duration(record['inclusion_s'])}{after}"
    if cost is None:
        return found
    gwei, fee = cost["price_wei"] / GWEI, cost["fee_wei"] / 10**18
    found["gas"] = f"{cost['gas_after']:,} used, at {gwei:.4g} gwei: {fee:.6g} ETH"
    if cost["gas_before"] is not None:
        saved = cost["measured_savings_percent"]
        found["L1 gas savings"] = (
            f"{saved:.1f} % measured, from {cost['gas_before']:,} gas;"
            f" {record['model_savings_percent']:.1f} % by the model (not measured)"
        )
        found["before"] = cost["before"]
    if cost["deployment_gas"] is not None:
        even = cost["break_even_batches"]
        after = (
            "never pays for itself here" if even is None else f"pays after {even:.1f} such batches"
        )
        found["deployment"] = f"{cost['deployment_gas']:,} gas, {after}"
    return found


def _since(start: float | None, end: float | None) -> float | None:
    return None if start is None or end is None else max(0.0, end - start)
