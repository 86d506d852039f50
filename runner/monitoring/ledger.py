"""The ledger: totals over all runs, and the textfile that shows them.

The textfile is made from the ledger alone, and is written after it under the same lock. If a crash
comes between the two writes, the next run puts the textfile right. No total depends on the clock.

Another version of the runner may have counted under a name, a label or bucket bounds that are not
in this version's table of metrics. Such a total stays in the ledger as it is and is not shown. A
histogram whose bounds have changed therefore starts again from zero, and goes on where it was if
they change back.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import logging
from typing import TYPE_CHECKING, ParamSpec

from runner.errors import LedgerCorruptError
from runner.files import atomic_write, followed, make_folder, remove_leftovers
from runner.locks import check_lock, locked
from runner.metric_kinds import Gauge
from runner.metric_table import (
    BUILD_INFO,
    ERRORS,
    LAST_RUN_DURATION_SECONDS,
    LAST_RUN_EXIT_STATUS,
    LAST_RUN_LEAVES,
    LAST_RUN_START_TIMESTAMP_SECONDS,
    METRICS,
)
from runner.metrics import Recorder, Total
from runner.monitoring.ledger_file import Contents, RecentRun, decode, encode
from runner.monitoring.ledger_migrations import METRICS_OF_1, is_of_1, totals_from_1
from runner.monitoring.textfile import read_series, write_textfile
from runner.untrusted import open_regular, read_regular

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from runner.metric_kinds import Counter, Metric

__all__ = ["KEPT_RUNS", "RECENT_RUNS", "Ledger", "ledger_path"]

log = logging.getLogger(__name__)

P = ParamSpec("P")

KEPT_RUNS = 10_000
"""The number of last runs whose ids are kept, so that none of them is counted twice."""

RECENT_RUNS = 20
"""The number of last runs that are kept with a few figures for people."""

_MAX_BYTES = 64 << 20
"""The largest ledger or textfile that is read; both have some kilobytes."""

LOCKS = ("lock", "push.lock")
"""The names of a ledger's locks: for a change, and for a push to a Pushgateway."""

_WAIT_S = 30.0
"""How long to wait for a run that holds the lock. It needs the lock for milliseconds."""


class Ledger:
    """The totals of all runs, in a file that any number of processes may use at once.

    Args:
        path: the ledger's file. Missing folders are made, and ``<path>.lock`` stays beside it. Of a
            link it is the target that counts, so that all names of a ledger have one lock.
        textfile: the metrics file for node_exporter that is written from the ledger, or None.
        metrics: the table of all metrics.
    """

    def __init__(
        self, path: Path, textfile: Path | None = None, metrics: Iterable[Metric] = METRICS
    ) -> None:
        self.path = followed(path)
        self._textfile = None if textfile is None else followed(textfile)
        self._metrics = tuple(metrics)

    def record(self, run_id: str, run: Recorder) -> Recorder:
        """Count a run: add its totals, and put its gauges in the place of the last run's.

        If the run has been counted already, only the textfile is written again. A textfile that
        cannot be written is logged as a warning, and the next run writes it.

        Args:
            run_id: the run's id, which no other run has.
            run: the run's figures.

        Returns:
            The totals of all runs, and the gauges of the last run.

        Raises:
            LedgerNewerError: a later version wrote the ledger. Ledger and textfile are left alone.
            OSError: the ledger could not be written, so the run is not counted. The textfile, if
                it can be written, shows the old totals and this run's gauges.
        """
        kept = {one.name for one in self._metrics if isinstance(one, Gauge) and one.kept}

        def counted(before: Contents) -> Contents:
            if run_id in before.runs:
                return before
            gauges = [gauge for gauge in before.gauges if gauge.name in kept]
            gauges += [gauge for gauge in run.gauges() if gauge.value or gauge.name not in kept]
            return Contents(
                totals=before.totals + run.snapshot(),
                gauges=tuple(gauges),
                runs=(*before.runs, run_id)[-KEPT_RUNS:],
                recent=(*before.recent, _recent_run(run_id, run))[-RECENT_RUNS:],
            )

        return self._change(counted)

    def count(
        self, metric: Counter[P], value: float = 1, *args: P.args, **labels: P.kwargs
    ) -> Recorder:
        """Add to a counter what belongs to no run.

        Args:
            metric: the counter.
            value: the number to add.
            *args: empty, because labels are given by name.
            **labels: the values of the counter's labels.

        Returns:
            The totals of all runs, and the gauges of the last run.

        Raises:
            LedgerNewerError: a later version wrote the ledger.
            OSError: the ledger could not be written.
        """
        extra = Recorder(self._metrics)
        extra.inc(metric, value, *args, **labels)
        return self._change(
            lambda before: dataclasses.replace(before, totals=before.totals + extra.snapshot())
        )

    def add(self, event: str, found: Recorder) -> Recorder:
        """Count an event that is no run, once: add its totals, and set the gauges that it has.

        Args:
            event: the event's id, which neither another event nor a run has.
            found: the event's figures. Its table has only the metrics that the event is about,
                because the gauges in it replace those of the last run.

        Returns:
            The totals of all runs, and the gauges of the last run.

        Raises:
            LedgerNewerError: a later version wrote the ledger.
            OSError: the ledger could not be written, so the event is not counted.
        """
        gauges = {(one.name, tuple(one.labels.items())): one for one in found.gauges()}

        def counted(before: Contents) -> Contents:
            if event in before.runs:
                return before
            known = {(one.name, tuple(one.labels.items())): one for one in before.gauges}
            return dataclasses.replace(
                before,
                totals=before.totals + found.snapshot(),
                gauges=tuple((known | gauges).values()),
                runs=(*before.runs, event)[-KEPT_RUNS:],
            )

        return self._change(counted)

    def read(self) -> Recorder:
        """Read all totals and the last run's gauges. This takes no lock and changes nothing.

        Raises:
            LedgerCorruptError: the ledger is damaged. The next run that is counted replaces it.
            LedgerNewerError: a later version wrote the ledger.
            OSError: the ledger cannot be read, e.g. because no run was counted yet.
        """
        return self._merged(decode(self._read()))[0]

    def recent(self) -> tuple[RecentRun, ...]:
        """Read the last runs, oldest first. This takes no lock and fails as :meth:`read` does."""
        return decode(self._read()).recent

    @contextlib.contextmanager
    def lock(self, name: str, wait_s: float) -> Iterator[None]:
        """Hold a lock of this ledger, for work that only one run may do at a time.

        Args:
            name: the lock's name. The lock file is ``<path>.<name>``.
            wait_s: the seconds to wait for another run that holds the lock.

        Raises:
            OSError: the lock cannot be taken, or not within ``wait_s``.
        """
        make_folder(self.path.parent)
        with locked(self._lock(name), wait_s):
            yield

    def check(self) -> None:
        """Make sure that this user can read the ledger and take its locks. This changes nothing.

        Raises:
            OSError: the ledger or a lock is another user's and not for this one, or is no file.
        """
        for name in LOCKS:
            check_lock(self._lock(name))
        with contextlib.suppress(FileNotFoundError):
            open_regular(self.path, follow=True).close()

    def _lock(self, name: str) -> Path:
        return self.path.with_name(f"{self.path.name}.{name}")

    def _change(self, change: Callable[[Contents], Contents]) -> Recorder:
        with self.lock("lock", _WAIT_S):
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
                # A counter in the textfile must never fall, so the textfile must not show totals
                # that the ledger does not have.
                self._show(self._merged(dataclasses.replace(after, totals=before.totals))[0])
                raise
            self._show(recorder)
        return recorder

    def _merged(self, contents: Contents) -> tuple[Recorder, tuple[Total, ...]]:
        """Return the contents as a recorder, and the totals that this version's table lacks."""
        recorder, strange = Recorder(self._metrics), []
        for total in contents.totals:
            try:
                recorder.merge((total,))
            except ValueError:
                strange.append(total)
        for gauge in contents.gauges:
            with contextlib.suppress(ValueError):
                recorder.restore(gauge)
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

    def _read(self) -> bytes:
        return read_regular(self.path, _MAX_BYTES, follow=True)

    def _load(self) -> Contents:
        try:
            data = self._read()
        except FileNotFoundError:
            return Contents()
        try:
            return decode(data)
        except LedgerCorruptError as error:
            return self._recovered(data, error)

    def _recovered(self, data: bytes, error: LedgerCorruptError) -> Contents:
        """Set a damaged ledger aside and return contents to go on from.

        They are the series in the textfile, which were scraped last, or else none, and one error.
        """
        aside = self.path.with_name(
            f"{self.path.name}.corrupt-{hashlib.sha256(data).hexdigest()[:12]}"
        )
        atomic_write(aside, data)
        series: tuple[Total, ...] = ()
        if self._textfile is not None:
            with contextlib.suppress(OSError, ValueError):
                text = read_regular(self._textfile, _MAX_BYTES, follow=True).decode()
                series = read_series(text, self._metrics)
                if is_of_1(series):
                    series = totals_from_1(read_series(text, (*self._metrics, *METRICS_OF_1)))
        log.warning(
            "%s: %s; kept as %s, and totals start again from %s",
            *(self.path, error, aside.name),
            f"those in {self._textfile}" if series else "zero",
        )
        gauges = {metric.name for metric in self._metrics if metric.type == "gauge"}
        return Contents(
            totals=(
                *(one for one in series if one.name not in gauges),
                Total(ERRORS.name, {}, 1),
            ),
            gauges=tuple(one for one in series if one.name in gauges),
        )


def ledger_path(textfile: Path) -> Path:
    """Return the path of a textfile's ledger, unless the configuration names another.

    It is beside the file that a link leads to, so that all names of a textfile have one ledger.
    """
    textfile = followed(textfile)
    return textfile.with_name(f"{textfile.name}.ledger.json")


def _recent_run(run_id: str, run: Recorder) -> RecentRun:
    gauges = {gauge.name: gauge for gauge in run.gauges()}

    def value(metric: Gauge[[]]) -> float:
        return gauges[metric.name].value if metric.name in gauges else 0.0

    info = gauges.get(BUILD_INFO.name)
    return RecentRun(
        run_id=run_id,
        started=value(LAST_RUN_START_TIMESTAMP_SECONDS),
        duration_s=value(LAST_RUN_DURATION_SECONDS),
        exit_status=value(LAST_RUN_EXIT_STATUS),
        leaves=value(LAST_RUN_LEAVES),
        kind=info.labels.get("receipt_kind", "") if info else "",
    )
