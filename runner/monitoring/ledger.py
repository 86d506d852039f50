"""Totals that survive runs: the ledger, and the textfile that shows what it says.

The textfile is a function of the ledger, and is written after it under the same lock. What a crash
between the two leaves is put right by the next run. Nothing cumulative depends on the clock.

What a later or earlier version counted under a name, label or bucket bounds that are not in this
version's table stays in the ledger as it is and is not shown: a histogram whose bounds changed
starts again from zero, and goes on where it was if they change back.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import logging
from typing import TYPE_CHECKING

from runner.errors import LedgerCorruptError
from runner.files import atomic_write, make_folder, remove_leftovers
from runner.metrics import METRICS, Metric, Recorder, Total
from runner.monitoring.ledger_file import Contents, Glance, decode, encode
from runner.monitoring.textfile import read_series, write_textfile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

__all__ = ["KEPT_RUNS", "RECENT_RUNS", "Ledger", "beside"]

log = logging.getLogger(__name__)

KEPT_RUNS = 10_000
"""Of so many last runs it is known that they are counted."""

RECENT_RUNS = 20
"""So many are kept with what people ask for first."""

_WAIT_S = 30.0
"""For another run that holds the lock, which takes it milliseconds."""


class Ledger:
    """Totals in a file, for any number of processes at once.

    Args:
        path: of the ledger; folders are made, and ``<path>.lock`` stays beside it.
        textfile: for node_exporter; None for none.
        metrics: the table.
    """

    def __init__(
        self, path: Path, textfile: Path | None = None, metrics: Iterable[Metric] = METRICS
    ) -> None:
        self.path = path
        self._textfile = textfile
        self._metrics = tuple(metrics)

    def record(self, run_id: str, run: Recorder) -> Recorder:
        """Count a run: its totals are added, and its gauges take the place of the last run's.

        A run that is counted already changes nothing, and the textfile is written again. A textfile
        that cannot be written is a warning: the next run writes it.

        Args:
            run_id: never the same for two runs.
            run: what it did.

        Returns:
            The totals of all runs, and the last one's gauges.

        Raises:
            LedgerNewerError: ledger and textfile are left alone.
            OSError: the run is not counted. The textfile, where it can be written, shows the old
                totals and this run's gauges.
        """
        kept = {metric.name for metric in self._metrics if metric.kept}

        def counted(before: Contents) -> Contents:
            if run_id in before.runs:
                return before
            gauges = [gauge for gauge in before.gauges if gauge.name in kept]
            gauges += [gauge for gauge in run.gauges() if gauge.value or gauge.name not in kept]
            return Contents(
                totals=before.totals + run.snapshot(),
                gauges=tuple(gauges),
                runs=(*before.runs, run_id)[-KEPT_RUNS:],
                recent=(*before.recent, _glance(run_id, run))[-RECENT_RUNS:],
            )

        return self._change(counted)

    def count(self, name: str, value: float = 1, **labels: str) -> Recorder:
        """Add to a counter what belongs to no run; returns and raises as :meth:`record`."""
        extra = Recorder(self._metrics)
        extra.inc(name, value, **labels)
        return self._change(
            lambda before: dataclasses.replace(before, totals=before.totals + extra.snapshot())
        )

    def read(self) -> Recorder:
        """All totals and the last run's gauges. Takes no lock and changes nothing.

        Raises:
            LedgerCorruptError: the next run puts it right.
            LedgerNewerError: see there.
            OSError: e.g. no run was counted yet.
        """
        return self._merged(decode(self.path.read_bytes()))[0]

    def recent(self) -> tuple[Glance, ...]:
        """The last runs, oldest first. Takes no lock; raises as :meth:`read`."""
        return decode(self.path.read_bytes()).recent

    @contextlib.contextmanager
    def turn(self, name: str, wait_s: float) -> Iterator[None]:
        """Hold a lock of this ledger, for what must be done by one run at a time.

        Raises:
            OSError: the lock cannot be had, or not within ``wait_s``.
        """
        from filelock import FileLock, Timeout

        make_folder(self.path.parent)
        lock = FileLock(f"{self.path}.{name}", timeout=wait_s, poll_interval=0.01)
        try:
            lock.acquire()
        except Timeout:
            raise TimeoutError(f"{lock.lock_file} was held for {wait_s:g} s") from None
        try:
            yield
        finally:
            lock.release()

    def _change(self, change: Callable[[Contents], Contents]) -> Recorder:
        with self.turn("lock", _WAIT_S):
            before = self._load()
            after = change(before)
            recorder, strange = self._merged(after)
            after = dataclasses.replace(
                after, totals=recorder.snapshot() + strange, gauges=recorder.gauges()
            )
            try:
                remove_leftovers(self.path)
                atomic_write(self.path, encode(after))
            except OSError:
                # What the textfile shows must never fall, so it must not be ahead of the ledger.
                self._show(self._merged(dataclasses.replace(after, totals=before.totals))[0])
                raise
            self._show(recorder)
        return recorder

    def _merged(self, contents: Contents) -> tuple[Recorder, tuple[Total, ...]]:
        """What this version's table knows, and the totals it does not."""
        recorder, strange = Recorder(self._metrics), []
        for total in contents.totals:
            try:
                recorder.merge((total,))
            except ValueError:
                strange.append(total)
        for gauge in contents.gauges:
            with contextlib.suppress(ValueError):
                recorder.set(gauge.name, gauge.value, **gauge.labels)
        return recorder, tuple(strange)

    def _show(self, recorder: Recorder) -> None:
        if self._textfile is None:
            return
        try:
            if self._textfile.parent.is_dir():
                remove_leftovers(self._textfile)
            write_textfile(self._textfile, recorder.render())
        except OSError as error:
            log.warning("metrics textfile %s not written: %s", self._textfile, error)

    def _load(self) -> Contents:
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            return Contents()
        try:
            return decode(data)
        except LedgerCorruptError as error:
            return self._recovered(data, error)

    def _recovered(self, data: bytes, error: LedgerCorruptError) -> Contents:
        """Set a damaged ledger aside; go on from the textfile, which is what was scraped last."""
        aside = self.path.with_name(
            f"{self.path.name}.corrupt-{hashlib.sha256(data).hexdigest()[:12]}"
        )
        atomic_write(aside, data)
        series: tuple[Total, ...] = ()
        if self._textfile is not None:
            with contextlib.suppress(OSError, ValueError):
                series = read_series(self._textfile.read_text(encoding="utf-8"), self._metrics)
        log.warning(
            "%s: %s; kept as %s, and totals start again from %s",
            *(self.path, error, aside.name),
            f"those in {self._textfile}" if series else "zero",
        )
        gauges = {metric.name for metric in self._metrics if metric.type == "gauge"}
        return Contents(
            totals=(
                *(one for one in series if one.name not in gauges),
                Total("l2_errors_total", {}, 1),
            ),
            gauges=tuple(one for one in series if one.name in gauges),
        )


def beside(textfile: Path) -> Path:
    """Where the ledger of a textfile is, unless the configuration says otherwise."""
    return textfile.with_name(f"{textfile.name}.ledger.json")


def _glance(run_id: str, run: Recorder) -> Glance:
    gauges = {gauge.name: gauge for gauge in run.gauges()}

    def value(name: str) -> float:
        return gauges[name].value if name in gauges else 0.0

    info = gauges.get("l2_build_info")
    return Glance(
        run_id=run_id,
        started=value("l2_last_run_start_timestamp_seconds"),
        duration_s=value("l2_last_run_duration_seconds"),
        exit_status=value("l2_last_run_exit_status"),
        leaves=value("l2_last_run_leaves"),
        kind=info.labels.get("receipt_kind", "") if info else "",
    )
