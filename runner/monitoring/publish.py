"""A run's figures on their way out: ledger, textfile, Pushgateway. Fails no batch."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runner.errors import LedgerCorruptError, LedgerNewerError
from runner.monitoring.ledger import Ledger

if TYPE_CHECKING:
    from pathlib import Path

    from runner.metrics import Recorder
    from runner.monitoring.pushgateway import Gateway

__all__ = ["MetricsSettings", "publish"]

log = logging.getLogger(__name__)


def publish(settings: MetricsSettings, run_id: str, run: Recorder) -> None:
    """Count a run in the ledger, and show the totals. What does not work is logged.

    Args:
        settings: where to.
        run_id: as in ``result.json``; counted once however often it is given.
        run: what it did.
    """
    if settings.ledger is None:
        return
    ledger = Ledger(settings.ledger, settings.textfile)
    try:
        ledger.record(run_id, run)
        if settings.gateway is not None:
            _push(settings.gateway, ledger)
    except LedgerNewerError as error:
        log.warning("metrics of this run not counted: %s", error)
    except OSError as error:
        # The batch's own result stands; a scrape that finds an old file is the alert's job.
        log.warning("metrics of this run not counted in %s: %s", ledger.path, error)


def _push(gateway: Gateway, ledger: Ledger) -> None:
    from runner.monitoring.pushgateway import push  # brings an HTTP client

    try:
        # One run at a time, and what the ledger says then, so that no total is ever pushed after a
        # larger one.
        with ledger.turn("push.lock", gateway.timeout_s):
            push(gateway, ledger.read().render())
    except (OSError, LedgerCorruptError) as error:
        log.warning("metrics not pushed to %s: %s", gateway.url, error)
        ledger.count("l2_push_failures_total")


@dataclass(frozen=True, slots=True)
class MetricsSettings:
    """The textfile for node_exporter, the ledger of totals, the Pushgateway; None for none."""

    textfile: Path | None = None
    ledger: Path | None = None
    gateway: Gateway | None = None
