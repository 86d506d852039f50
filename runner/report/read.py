"""Read runs back from their ``result.json`` for the reports; the files are not trusted.

Types and ranges are checked, every text is cut to a limit and control characters are removed, so
that a file can make a report show its figures but do nothing else. A report claims no more than
that: whether a batch was proved is checked by :mod:`runner.verify`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from runner.errors import InputError
from runner.folder import FORMAT, MAX_JSON_BYTES, RESULT
from runner.model import GpuUse, flat
from runner.plan.plan import Plan
from runner.report.checked_json import JsonObject, one_line
from runner.report.l1 import read_l1
from runner.untrusted import parse_json, read_regular

if TYPE_CHECKING:
    from pathlib import Path

    from runner.report.l1 import L1Figures

__all__ = ["MAX_BYTES", "JobRow", "RunRecord", "SummaryFigures", "WorkFigures", "read"]

_MOST_UNITS = 100
"""The most units of work that are read, each of which takes two columns of a table."""

MAX_BYTES = MAX_JSON_BYTES
"""The largest ``result.json`` that is read; that of a million leaves has about 0.7 GB."""


@dataclass(frozen=True, slots=True)
class JobRow:
    """One finished job, as :func:`runner.batch.record.job_rows` records it.

    Attributes:
        id: the job's id in the plan.
        level: the job's level in the plan, 0 for a leaf.
        guest: the name of the program that ran.
        cached: whether the receipt came from the cache.
        attempts: how often the job was started, 0 if cached.
        worker: the worker's process id, 0 if cached.
        started: when the job started, in Unix time.
        finished: when the job finished, in Unix time.
        prove_s: wall seconds in the prover; in execute mode, in the zkVM's executor.
        verify_s: wall seconds spent on verifying the job's receipt and its children's.
        verifications: how many receipts were verified in that time.
        user_cycles: the guest's own cycles.
        paging_cycles: the cycles for page traffic.
        total_cycles: all cycles, with padding.
        segments: the number of segments of the guest's run.
        receipt_bytes: the size of the receipt, 0 in execute mode.
        gpu: the part that a GPU had in the proof; None if it had none.
        segments_proved_apart: how many segments were proved by jobs of their own.
        segments_halved: how many times the run was cut smaller because memory was short.
        lifts_and_joins: how often receipts of segments were lifted or joined by jobs of their own.
    """

    id: int
    level: int
    guest: str
    cached: bool
    attempts: int
    worker: int
    started: float
    finished: float
    prove_s: float
    verify_s: float
    verifications: int
    user_cycles: int
    paging_cycles: int
    total_cycles: int
    segments: int
    receipt_bytes: int
    gpu: GpuUse | None = None
    segments_proved_apart: int = 0
    segments_halved: int = 0
    lifts_and_joins: int = 0

    @property
    def name(self) -> str:
        """The job's name for people."""
        return f"aggregation {self.id}" if self.level else f"leaf {self.id}"


@dataclass(frozen=True, slots=True)
class WorkFigures:
    """The work of a batch in one unit of its guests, e.g. transfers.

    Attributes:
        count: the units of all leaves.
        per_s: the units of the leaves that the run has made, for each second of wall time.
    """

    count: int
    per_s: float


@dataclass(frozen=True, slots=True)
class SummaryFigures:
    """The figures in a finished run's summary, named as in the summary itself.

    Fields that start with ``model_`` come from the savings model and are not measured. ``work`` has
    the name of each unit.
    """

    wall_s: float
    retries: int
    verify_s: float
    root_verify_s: float
    bytes_before: int
    bytes_after: int
    size_savings_percent: float | None
    model_size_savings_percent: float
    model_gas_savings_percent: float
    model_tps: float
    model_verification_ms_before: float
    model_verification_ms_after: float
    work: dict[str, WorkFigures] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RunRecord:
    """The record of one run.

    Attributes:
        folder: the run's folder, from which the record was read.
        run_id: the run's id.
        status: how the run ended: ``ok``, ``partial``, ``failed`` or ``interrupted``.
        error: the reason if the status is not ``ok``.
        kind: the kind of the receipts; ``execute`` if nothing was proved.
        started: when the run started, in Unix time.
        finished: when the run finished, in Unix time.
        command: the words of the command line.
        config: the composed settings as texts, by dotted name.
        plan: the plan of the batch, which has been validated.
        jobs: the jobs that were finished, in the order of their ids.
        summary: the figures of the summary; None unless the status is ``ok``.
        versions: the versions of the runner and its libraries, by dotted name.
        machine: what is recorded about the machine, by dotted name.
        peak_memory_mib: the peak memory of the processes, by dotted name.
        image_ids: the image id of each guest, by the guest's name.
        l1: what became of the batch on an L1; None if it was not submitted to one.
    """

    folder: Path
    run_id: str
    status: str
    error: str | None
    kind: str
    started: float
    finished: float
    command: tuple[str, ...]
    config: dict[str, str]
    plan: Plan
    jobs: tuple[JobRow, ...]
    summary: SummaryFigures | None
    versions: dict[str, str]
    machine: dict[str, str]
    peak_memory_mib: dict[str, str]
    image_ids: dict[str, str]
    l1: L1Figures | None = None

    @property
    def executed(self) -> bool:
        """Whether the run was in execute mode, so that nothing was proved."""
        return self.kind == "execute"

    @property
    def ok(self) -> bool:
        """Whether the run ended with a verified result."""
        return self.status == "ok"


def read(folder: Path) -> RunRecord:
    """Read the record of a run.

    Args:
        folder: the run's folder.

    Raises:
        InputError: this version cannot read the ``result.json`` or the ``l1.json`` in the folder.
    """
    path = folder / RESULT
    try:
        record = JsonObject(parse_json(read_regular(path, MAX_BYTES), names=True), "")
        run = _run(folder, record)
    except OSError as error:
        problem = f"cannot be read ({error.strerror})"
    except (ValueError, OverflowError) as error:
        problem = f"not a result of this runner: {one_line(str(error), 200)}"
    else:
        return replace(run, l1=read_l1(folder))
    raise InputError("result", str(path), problem, "give folders this runner has left")


def _settings(config: object) -> dict[str, str]:
    """Untrusted settings by dotted name, each as one line of limited length."""
    return {one_line(name, 200): one_line(value, 2000) for name, value in flat(config).items()}


def _run(folder: Path, record: JsonObject) -> RunRecord:
    if record.data.get("format") != FORMAT:
        raise ValueError(f"format is {record.data.get('format')!r}, known is {FORMAT}")
    plan = Plan.from_json(record.data.get("plan"))
    status = record.text("status")
    if status not in {"ok", "partial", "failed", "interrupted"}:
        raise ValueError(f"status is {status!r}")
    error = record.data.get("error")
    return RunRecord(
        folder=folder,
        run_id=record.text("run_id"),
        status=status,
        error=None if error is None else record.text("error"),
        kind=record.text("kind"),
        started=record.seconds("started"),
        finished=record.seconds("finished"),
        command=tuple(one_line(str(word), 500) for word in record.items("command")),
        config=_settings(record.node("config").data),
        plan=plan,
        jobs=_jobs(record, plan),
        summary=_summary(record.node("summary")) if status in {"ok", "partial"} else None,
        versions=_settings(record.node("versions").data),
        machine=_settings(record.node("machine").data),
        peak_memory_mib=_settings(record.node("peak_memory_mib").data),
        image_ids={
            one_line(name, 80): JsonObject(guest, f"guests.{name}").text("image_id")
            for name, guest in record.node("guests").data.items()
        },
    )


def _jobs(record: JsonObject, plan: Plan) -> tuple[JobRow, ...]:
    rows: list[JobRow] = []
    for number, item in enumerate(record.items("jobs")):
        row = JsonObject(item, f"jobs[{number}]")
        job = row.count("id")
        if job >= plan.jobs or (rows and job <= rows[-1].id):
            raise ValueError(f"jobs[{number}].id = {job} is not in the plan, or out of order")
        rows.append(
            JobRow(
                id=job,
                level=plan.aggregation(job).level if job >= plan.leaf_jobs else 0,
                guest=row.text("guest"),
                cached=row.data.get("cached") is True,
                started=row.seconds("started"),
                finished=row.seconds("finished"),
                prove_s=row.number("prove_s"),
                verify_s=row.number("verify_s"),
                **{name: row.count(name) for name in _COUNTS},
                gpu=_gpu(row) if "gpu" in row.data else None,
                **{name: row.count(name) for name in _LATER_COUNTS if name in row.data},
            )
        )
    return tuple(rows)


def _gpu(row: JsonObject) -> GpuUse:
    return GpuUse(row.text("gpu"), row.number("gpu_s"), row.text("gpu_error"))


_COUNTS = (
    "attempts",
    "worker",
    "verifications",
    "user_cycles",
    "paging_cycles",
    "total_cycles",
    "segments",
    "receipt_bytes",
)

_LATER_COUNTS = ("segments_proved_apart", "segments_halved", "lifts_and_joins")
"""Those that earlier runs did not record."""


def _summary(summary: JsonObject) -> SummaryFigures:
    model = summary.node("model")
    saved = summary.data.get("size_savings_percent")
    return SummaryFigures(
        wall_s=summary.number("wall_s"),
        retries=summary.count("retries"),
        verify_s=summary.number("verify_s"),
        root_verify_s=summary.number("root_verify_s"),
        bytes_before=summary.count("bytes_before"),
        bytes_after=summary.count("bytes_after"),
        size_savings_percent=None
        if saved is None
        else summary.number("size_savings_percent", signed=True),
        model_size_savings_percent=model.number("size_savings_percent"),
        model_gas_savings_percent=model.number("gas_savings_percent"),
        model_tps=model.number("tps"),
        model_verification_ms_before=model.number("verification_ms_before"),
        model_verification_ms_after=model.number("verification_ms_after"),
        # Earlier runs did not record it.
        work=_work(summary.node("work")) if "work" in summary.data else {},
    )


def _work(work: JsonObject) -> dict[str, WorkFigures]:
    if len(work.data) > _MOST_UNITS:
        raise ValueError(f"summary.work has more than {_MOST_UNITS} units")
    found = {}
    for name in work.data:
        one = work.node(name)
        found[one_line(name, 40)] = WorkFigures(one.count("count"), one.number("per_s"))
    return found
