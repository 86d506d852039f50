"""What a run prints when it has ended: a table for people, or a line of JSON for machines."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from runner.batch.check_command import short
from runner.consoles import make_console
from runner.model import ReceiptKind
from runner.text import duration, visible

if TYPE_CHECKING:
    from runner.batch.run_info import RunInfo
    from runner.batch.settings import Settings
    from runner.batch.summary import Summary
    from runner.errors import BatchFailedError

__all__ = ["print_end"]


def print_end(
    settings: Settings,
    info: RunInfo,
    *,
    summary: Summary | None = None,
    error: BatchFailedError | None = None,
    journals: str = "",
) -> None:
    """Print how a run ended on standard output, unless it is to be quiet.

    A run without a result prints nothing for people, because its error is on standard error.

    Args:
        settings: the settings of the run.
        info: what was known of the run before its first job.
        summary: the summary of the run; None if it has no result.
        error: the error that ended the run, also where its result lacks some leaves; None if it
            did not fail.
        journals: what the first journals show, for people.
    """
    if settings.quiet:
        return
    if settings.log_format == "json":
        line = _finished(settings, info, summary, error)
        sys.stdout.write(json.dumps(line) + "\n")
    elif summary is not None:
        rows = {} if error is None else {"missing": error.message}
        rows |= {"journals": journals} if journals else {}
        rows |= _last_rows(settings, info)
        make_console().print(_table(summary, rows, partial=error is not None))
        if settings.prover.kind is not ReceiptKind.EXECUTE:
            # It stands outside of the table, whose borders nobody can paste into a shell.
            sys.stdout.write(f"check it with:\n  {visible(info.check)}\n")
    sys.stdout.flush()  # what cannot be written is to be known while the run's log is open


def _finished(
    settings: Settings, info: RunInfo, summary: Summary | None, error: BatchFailedError | None
) -> dict[str, Any]:
    """The line of JSON."""
    status = "ok" if error is None else "failed" if error.exit_code == 1 else "interrupted"
    if summary is not None and error is not None:
        status = "partial"
    textfile = settings.metrics.textfile
    return {
        "event": "batch_finished",
        "run_id": info.run_id,
        "status": status,
        "exit_code": 0 if error is None else error.exit_code,
        "error": None if error is None else str(error),
        "folder": str(settings.output),
        "textfile": None if textfile is None else str(textfile),
        "summary": None if summary is None else summary.to_json(),
    }


def _last_rows(settings: Settings, info: RunInfo) -> dict[str, str]:
    """The rows about where the outputs are, and how secure the proofs are where that is known."""
    versions = info.versions
    rows = {}
    if bits := versions.extra.get("security_bits"):
        rows["security"] = f"{bits} bits, {versions.zkvm} {versions.zkvm_version}"
    given = [f"{name}={value}" for name, value in info.prover_settings if value is not None]
    if given:
        rows["prover settings"] = ", ".join(given)
    rows["outputs"] = visible(short(settings.output))
    metrics = settings.metrics
    if metrics.textfile is not None:
        rows["metrics"] = visible(short(metrics.textfile))
    if metrics.gateway is not None:
        rows["pushed to"] = metrics.gateway.url
    if settings.audit is not None:
        rows["audit log"] = visible(short(settings.audit))
    return rows


def _table(summary: Summary, last_rows: dict[str, str], *, partial: bool = False) -> Table:
    """The closing table. Figures of the model are named so, because all others are measured.

    Args:
        summary: the summary of the run.
        last_rows: the names and texts of the rows that follow the figures.
        partial: whether leaves that were asked for are missing.
    """
    s, model = summary, summary.model
    executed = s.kind == ReceiptKind.EXECUTE.value
    title = "Batch executed: NOTHING PROVED (prover=execute)" if executed else "Batch verified"
    title = f"{title}, WITH LEAVES MISSING" if partial else title
    grid = Table(title=title, title_justify="left", show_header=False, pad_edge=False)
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(overflow="fold")
    same = "" if s.distinct == s.leaves else f" ({s.distinct} distinct)"
    grid.add_row("leaves", f"{s.leaves}{same}")
    picked = f" (picked by {s.requested})" if s.requested != s.strategy else ""
    grid.add_row("strategy", f"{s.strategy}{picked}, {_shape(s)}")
    what = "runs" if executed else f"{s.kind} receipts"
    grid.add_row(what, f"{s.made} made, {s.cached} from cache, {s.retries} retries")
    if s.cut_smaller:
        jobs = "1 job" if s.cut_smaller == 1 else f"{s.cut_smaller} jobs"
        grid.add_row("memory was short", f"{jobs} cut into smaller segments than was asked for")
    grid.add_row("wall time", duration(s.wall_s))
    grid.add_row(
        "time in execution" if executed else "prover time",
        f"leaves {duration(s.prove_s)}, aggregations {duration(s.aggregate_s)},"
        f" verification {duration(s.verify_s)} (summed over workers)",
    )
    grid.add_row(
        f"cycles {'executed' if executed else 'proved'}",
        f"{s.total_cycles:,} (user {s.user_cycles:,}, paging {s.paging_cycles:,})",
    )
    for unit, work in s.work.items():
        how = "executed" if executed else "proved"
        grid.add_row(visible(unit), f"{work.count:,}; {work.per_s:.3g} {how} per second, measured")
    if not executed:
        grid.add_row("receipt bytes", f"{s.bytes_before:,} before, {s.bytes_after:,} after")
        grid.add_row("size savings", f"{s.size_savings_percent:.1f} % measured")
        grid.add_row("", f"{model.size_savings_percent:.1f} % by the model (not measured)")
        if s.levels:
            grid.add_row("root verification", f"{s.root_verify_s * 1000:.0f} ms measured")
            grid.add_row("", f"{model.verification_ms_after:.1f} ms by the model (not measured)")
            grid.add_row("aggregated per second", _speed(s))
            grid.add_row("", f"{model.tps:.3g} by the model (not measured)")
        grid.add_row(
            "L1 gas savings", f"{model.gas_savings_percent:.1f} % by the model (not measured)"
        )
    for name, text in last_rows.items():
        grid.add_row(name, Text(text))  # a text, because brackets in it are no markup
    return grid


def _speed(s: Summary) -> str:
    """The leaf proofs aggregated per second, in words that tell what was made from what was not."""
    if not s.root_made:
        return "nothing: the root came from the cache"
    cached = s.distinct - s.made_leaves
    helped = f"; {cached} more from the cache" if cached else ""
    return f"{s.tps:.3g} leaf proofs made, measured{helped}"


def _shape(s: Summary) -> str:
    """The number of aggregations and of their levels, in words."""
    if not s.levels:
        return "nothing aggregated"
    jobs = "1 aggregation" if s.aggregations == 1 else f"{s.aggregations} aggregations"
    return f"{jobs} in {s.levels} level{'s' if s.levels > 1 else ''}"
