"""Publishing a run's figures: to the ledger, the textfile and the Pushgateway.

Whatever goes wrong here is logged and fails no batch.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runner.errors import LedgerCorruptError, LedgerNewerError
from runner.metric_table import PUSH_FAILURES
from runner.monitoring.ledger import Ledger

if TYPE_CHECKING:
    from pathlib import Path

    from runner.metrics import Recorder
    from runner.monitoring.pushgateway import Gateway

__all__ = ["MetricsSettings", "publish"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class MetricsSettings:
    """Where a run's figures go.

    Attributes:
        textfile: the metrics file for node_exporter, or None.
        ledger: the ledger of the totals, or None. Without it nothing is published.
        gateway: the Pushgateway, or None.
    """

    textfile: Path | None = None
    ledger: Path | None = None
    gateway: Gateway | None = None


def publish(settings: MetricsSettings, run_id: str, run: Recorder) -> None:
    """Count a run in the ledger, and publish the totals.

    Args:
        settings: where the figures go.
        run_id: the run's id, as in ``result.json``. A run is counted once, however often its id is
            given.
        run: the run's figures.
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
        # The batch's own result stands. An alert tells of a textfile that is no longer renewed.
        log.warning("metrics of this run not counted in %s: %s", ledger.path, error)


def _push(gateway: Gateway, ledger: Ledger) -> None:
    from runner.monitoring.pushgateway import push  # imported late: it brings an HTTP client

    try:
        # One run at a time pushes what the ledger holds at that moment, so that no total is ever
        # pushed after a larger one.
        with ledger.lock("push.lock", gateway.timeout_s):
            push(gateway, ledger.read().render())
    except (OSError, LedgerCorruptError) as error:
        log.warning("metrics not pushed to %s: %s", gateway.url, error)
        ledger.count(PUSH_FAILURES)
