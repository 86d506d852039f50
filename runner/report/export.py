"""Runs as CSV or Parquet for other tools: one row per run, with the units in the column names."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runner.destination import write_out
from runner.errors import InputError
from runner.files import atomic_write
from runner.report.figures import units

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from runner.report.figures import Figures, Runs

__all__ = ["Column", "cell", "columns", "write_csv", "write_file", "write_parquet"]


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the table.

    Attributes:
        name: the heading, which includes the unit.
        type: the type of the values: ``str``, ``int``, ``float`` or ``bool``.
        value: a function from a run to its value; None means that the run has none.
    """

    name: str
    type: type
    value: Callable[[Figures], object]


def columns(runs: Runs) -> list[Column]:
    """The columns for these runs, including one per aggregation level and differing setting.

    Each unit of work has two. Those about GPUs are there if any of the runs used one, and those
    about the L1 if the batch of any was submitted to one.
    """
    deepest = max((row.run.plan.levels for row in runs.all), default=0)
    levels = [
        Column(f"aggregation_level_{n}_s", float, lambda row, n=n: _at(row.level_s, n))  # type: ignore[misc]
        for n in range(1, deepest + 1)
    ]
    settings = [
        Column(f"config.{name}", str, lambda row, name=name: row.run.config.get(name))  # type: ignore[misc]
        for name in runs.differing
    ]
    work = [column for name in units(runs.all) for column in _work(name)]
    gpus = _GPUS if any(row.used_gpus for row in runs.all) else ()
    l1 = _L1 if any(row.run.l1 for row in runs.all) else ()
    return [*_RUN, *_TIMES, *levels, *work, *gpus, *_FIGURES, *_MODEL, *l1, *_PLACE, *settings]


def write_csv(runs: Runs, file: Path) -> None:
    """Write runs as CSV with a header; a missing value is an empty cell.

    Args:
        runs: the runs to write.
        file: the file to write.

    Raises:
        InputError: the file cannot be written.
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    wanted = columns(runs)
    writer.writerow([column.name for column in wanted])
    for row in runs.all:
        writer.writerow([cell(column.value(row)) for column in wanted])
    write_file("--csv", file, text.getvalue().encode())


def write_parquet(runs: Runs, file: Path) -> None:
    """Write runs as Parquet; a missing value is a null.

    Args:
        runs: the runs to write.
        file: the file to write.

    Raises:
        InputError: pyarrow is not installed, or the file cannot be written.
    """
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError:
        raise InputError(
            "--parquet",
            str(file),
            "needs pyarrow, which is not installed",
            "use --csv, or pip install 'zk-batch-runner[parquet]'",
        ) from None
    types = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_()}
    wanted = columns(runs)
    table = pa.table(
        {column.name: [column.value(row) for row in runs.all] for column in wanted},
        schema=pa.schema([(column.name, types[column.type]) for column in wanted]),
    )
    sink = pa.BufferOutputStream()
    parquet.write_table(table, sink)
    write_file("--parquet", file, sink.getvalue().to_pybytes())


def write_file(option: str, file: Path, data: bytes, *, named: bool = True) -> None:
    """Write what the user asked for, to a file or a stream.

    Args:
        option: the option that names the file, for the error message.
        file: the file to write.
        data: the file's content.
        named: whether the user named the file, which is then written as
            :func:`runner.destination.write_out` does it. A file of the runner's own naming may
            stand in a folder from elsewhere, where a link leads to what its maker chose.

    Raises:
        InputError: the file cannot be written.
    """
    try:
        (write_out if named else atomic_write)(file, data)
    except OSError as error:
        raise InputError(
            option, str(file), f"cannot be written ({error.strerror})", "choose another file"
        ) from None


def cell(value: object) -> object:
    """A value for CSV. A quote keeps a spreadsheet from reading a text as a formula."""
    if isinstance(value, str) and value.startswith(("=", "+", "-", "@")):
        return f"'{value}"
    return value


def _at(values: Sequence[float], index: int) -> float | None:
    return values[index] if index < len(values) else None


def _work(unit: str) -> tuple[Column, Column]:
    """The columns for a unit of work. A run whose guests do not count it has none."""
    return (
        Column(f"work.{unit}", int, lambda row: getattr(row.work.get(unit), "count", None)),
        Column(f"work.{unit}_per_s", float, lambda row: getattr(row.work.get(unit), "per_s", None)),
    )


def _per_s(row: Figures, *, executed: bool) -> float | None:
    return row.per_s if row.run.executed is executed else None


def _model(name: str) -> Callable[[Figures], object]:
    """A figure of the run's summary; a batch that proved nothing has no savings to model."""
    return lambda row: None if row.run.executed else getattr(row.run.summary, name, None)


def _l1(name: str) -> Callable[[Figures], object]:
    """A figure of the batch on an L1, where it was submitted to one."""
    return lambda row: getattr(row.run.l1, name, None)


def _leaf_ms(row: Figures) -> float | None:
    return None if row.run.executed else 1000 * row.leaf_verify_s


def _root_ms(row: Figures) -> float | None:
    summary = row.run.summary
    return summary.root_verify_s * 1000 if summary and summary.root_verify_s else None


_RUN = (
    Column("run", str, lambda row: row.name),
    Column("run_id", str, lambda row: row.run.run_id),
    Column("status", str, lambda row: row.run.status),
    Column("error", str, lambda row: row.run.error),
    Column("kind", str, lambda row: row.run.kind),
    Column("proved", bool, lambda row: not row.run.executed),
    Column("started_unix_s", float, lambda row: row.run.started),
    Column("finished_unix_s", float, lambda row: row.run.finished),
    Column("guest", str, lambda row: row.run.config.get("guest.name")),
    Column("strategy", str, lambda row: row.run.plan.strategy),
    Column("aggregation_levels", int, lambda row: row.run.plan.levels),
    Column("leaves", int, lambda row: row.leaves),
    Column("distinct_leaves", int, lambda row: row.distinct),
    Column("jobs", int, lambda row: row.run.plan.jobs),
    Column("jobs_made", int, lambda row: row.made),
    Column("jobs_cached", int, lambda row: row.cached),
    Column("retries", int, lambda row: row.retries),
    Column("workers", int, lambda row: row.workers),
)

_TIMES = (
    Column("wall_s", float, lambda row: row.wall_s),
    Column("leaf_proofs_per_s", float, lambda row: _per_s(row, executed=False)),
    Column("leaf_executions_per_s", float, lambda row: _per_s(row, executed=True)),
    Column("leaves_s", float, lambda row: row.level_s[0]),
)

_GPUS = (
    Column("gpu_proofs", int, lambda row: row.gpu_proofs),
    Column("gpu_s", float, lambda row: row.gpu_s),
    Column("gpu_errors", int, lambda row: row.gpu_errors),
)

_FIGURES = (
    Column("cache_lookup_s", float, lambda row: row.lookup_s),
    Column("verification_s", float, lambda row: row.verify_s),
    Column("leaf_verification_ms", float, _leaf_ms),
    Column("root_verification_ms", float, _root_ms),
    Column("user_cycles", int, lambda row: row.user_cycles),
    Column("paging_cycles", int, lambda row: row.paging_cycles),
    Column("total_cycles", int, lambda row: row.total_cycles),
    Column("receipt_bytes_before", int, lambda row: row.bytes_before),
    Column("receipt_bytes_after", int, lambda row: row.bytes_after),
    Column("size_savings_percent", float, _model("size_savings_percent")),
    Column("peak_memory_worker_mib", int, lambda row: row.memory_mib),
)

_MODEL = (
    Column("model_size_savings_percent", float, _model("model_size_savings_percent")),
    Column("model_gas_savings_percent", float, _model("model_gas_savings_percent")),
    Column("model_leaf_proofs_per_s", float, _model("model_tps")),
    Column("model_leaf_verification_ms", float, _model("model_verification_ms_before")),
    Column("model_root_verification_ms", float, _model("model_verification_ms_after")),
)

_L1 = (
    Column("l1_what", str, _l1("what")),
    Column("l1_state", str, _l1("state")),
    Column("l1_chain_id", int, _l1("chain_id")),
    Column("l1_client", str, _l1("client")),
    Column("l1_fork", str, _l1("fork")),
    Column("l1_gas_after", int, _l1("gas_after")),
    Column("l1_gas_before_estimated", int, _l1("gas_before")),
    Column("l1_gas_savings_percent", float, _l1("savings_percent")),
    Column("l1_price_gwei", float, _l1("price_gwei")),
    Column("l1_fee_eth", float, _l1("fee_eth")),
    Column("l1_inclusion_s", float, _l1("inclusion_s")),
    Column("l1_confirmation_s", float, _l1("confirmation_s")),
    Column("l1_deployment_gas", int, _l1("deployment_gas")),
    Column("l1_break_even_batches", float, _l1("break_even_batches")),
)

_PLACE = (
    Column("host", str, lambda row: row.run.machine.get("host")),
    Column("cpu", str, lambda row: row.run.machine.get("cpu")),
    Column("cores", str, lambda row: row.run.machine.get("cores")),
    Column("memory_mib", str, lambda row: row.run.machine.get("memory_mib")),
    Column("runner_version", str, lambda row: row.run.versions.get("runner")),
    Column("zkvm", str, lambda row: row.run.versions.get("zkvm")),
    Column("zkvm_version", str, lambda row: row.run.versions.get("zkvm_version")),
)
