"""A run's own submission: what is checked before any proof, and what follows the verified batch."""

from __future__ import annotations

import json
import logging
import os
import sys
from typing import TYPE_CHECKING, Any

from runner.errors import InputError, L1Error
from runner.evm.faults import Fault
from runner.evm.keys import open_signer
from runner.evm.node import find_anvil
from runner.folder import read_record
from runner.l1.batch import read_batch
from runner.l1.figures import Figures
from runner.l1.reach import check_libraries, registry_of
from runner.l1.record import l1_record, rows
from runner.l1.submission import DONE
from runner.l1.submit import submit
from runner.model import ReceiptKind

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from runner.l1.settings import L1Settings
    from runner.monitoring.publish import MetricsSettings

__all__ = ["check", "settle"]

log = logging.getLogger(__name__)


def check(settings: L1Settings, kind: ReceiptKind, env: Mapping[str, str] = os.environ) -> None:
    """Find what is wrong with the settings before anything is proved. No node is asked.

    Args:
        settings: where and how the root will be submitted.
        kind: the kind of receipt that the batch will have.
        env: the environment variables.

    Raises:
        InputError: a setting cannot be used, or there will be nothing to submit.
    """
    if kind is ReceiptKind.EXECUTE:
        remedy = "use another prover, or l1=off"
        raise InputError("l1.mode", settings.mode, "prover=execute proves nothing", remedy)
    check_libraries()
    if settings.local:
        find_anvil(env)
        return
    settings.address(env)
    registry_of(settings)
    if settings.chain_id is None:
        remedy = "give the id of the chain that the node must be of"
        raise InputError("l1.chain_id", None, "missing", remedy)
    open_signer(settings.key, settings.chain_id, env)


def settle(  # noqa: PLR0913  # a run's own parts, all by keyword
    settings: L1Settings,
    folder: Path,
    *,
    adapter: str,
    guests: Path,
    metrics: MetricsSettings,
    audit: Path | None,
    quiet: bool,
    machine: bool,
    env: Mapping[str, str] = os.environ,
) -> None:
    """Submit the root of a run's finished batch, and say what has become of it.

    Args:
        settings: where and how to submit.
        folder: the output folder of the run.
        adapter: the zkVM adapter that the run has used.
        guests: the folder of the manifest that the run has used.
        metrics: where the run's figures go.
        audit: the run's audit log, or None.
        quiet: whether standard output stays empty.
        machine: whether standard output gets JSON.
        env: the environment variables.

    Raises:
        RunnerError: the root is not on the chain, and ``required`` is set.
    """
    run_id = str(read_record(folder).get("run_id"))
    figures = Figures(metrics.ledger, metrics.textfile, audit, run_id)
    try:
        batch = read_batch(folder, adapter=adapter, guests=guests)
        settled = submit(settings, batch, figures, env)
        _say(l1_record(settled), quiet=quiet, machine=machine)
        if settled.tracked.state not in DONE:
            reason = settled.tracked.reason or settled.tracked.state.value
            raise L1Error(Fault.REVERTED.value, f"the root is not on the chain: {reason}")
    except (InputError, L1Error, OSError) as error:
        if settings.required:
            raise
        log.warning(
            "%s",
            f"the root is not on the L1: {error}; the batch itself is done and verified, and"
            f" python -m runner.l1 submit {folder} submits it later",
            extra={"event": "l1_failed"},
        )


def _say(record: dict[str, Any], *, quiet: bool, machine: bool) -> None:
    if quiet:
        return
    if machine:
        sys.stdout.write(json.dumps({"event": "l1_finished", **record}) + "\n")
    else:
        _print(rows(record))


def _print(found: dict[str, str]) -> None:
    from rich.console import Console
    from rich.table import Table

    title = "Root on the L1"
    grid = Table(title=title, title_justify="left", show_header=False, pad_edge=False)
    grid.add_column(style="bold", no_wrap=True, min_width=20)
    grid.add_column(overflow="fold")
    for name, text in found.items():
        grid.add_row(name, text)
    Console().print(grid)
