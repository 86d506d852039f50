"""Prepares the batch of a run, and finds what is wrong with its settings before any proof."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import tempfile
import uuid
from dataclasses import replace
from typing import TYPE_CHECKING

from runner.audit.log import AuditLog
from runner.batch.assumptions import refuse_missing, with_assumptions
from runner.batch.batch import Batch
from runner.batch.leaf_records import LeafRecords
from runner.batch.programs import Programs
from runner.batch.receipts_elsewhere import ReceiptsElsewhere
from runner.batch.run_store import RunStore, cache_of
from runner.batch.trial import try_leaves
from runner.errors import AuditError, InputError
from runner.files import check_replaceable, followed, make_folder
from runner.limits import cores
from runner.monitoring.ledger import Ledger
from runner.monitoring.textfile import SUFFIX, is_scraped, rivals
from runner.plan.inputs import leaves
from runner.plan.plan import distinct
from runner.plan.strategy import make_plan
from runner.provers.prover import load_prover
from runner.provers.segments import Sized
from runner.store.place import UrlPlace, check_place

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from runner.batch.settings import Settings
    from runner.model import Leaf
    from runner.plan.plan import Plan
    from runner.provers.prover import Prover, ProverSpec

__all__ = ["plan_for", "prepare"]

log = logging.getLogger(__name__)


def prepare(settings: Settings) -> Batch:
    """Prepare the batch that the settings ask for.

    Raises:
        InputError: a guest is not what the manifest says, the prover cannot make such receipts
            here, an input or the strategy is not usable, or a folder, the store or the audit log
            cannot be written.
    """
    prover = load_prover(settings.prover)
    if not settings.guest:
        remedy = "give the file of the guest's program, or its name as guest.name=NAME"
        raise InputError("guest.elf", None, "no program", remedy)
    _check_limits(settings)
    programs = Programs(settings.guests, prover)
    guest = replace(programs.guest(settings.guest, settings.elf), max_cycles=settings.max_cycles)
    aggregator = programs.aggregator()
    prover.require(settings.prover.kind)
    others = {
        name: replace(programs.guest(name, one.elf), max_cycles=one.max_cycles)
        for name, one in settings.programs.items()
    }
    batch_leaves = leaves(
        settings.inputs_spec,
        inputs=settings.inputs,
        count=settings.count,
        inputs_file=settings.inputs_file,
        keep=_kept,
    )
    positions, _ = distinct(map(_identity, batch_leaves))
    plan = plan_for(settings, prover, positions)
    if aggregator is None and plan.aggregations:
        raise InputError(
            "guests",
            str(settings.guests),
            "has no aggregator, and the runner ships none for this zkVM",
            "add one, or use strategy=none",
        )
    batch = Batch(guest, aggregator, batch_leaves, plan, sized(settings, prover), others)
    batch = _with_assumptions(settings, batch, prover)
    if settings.dry_run:
        _check_folders([("output", settings.output)])
    else:
        _check_writable(settings)
        if settings.store is not None:
            check_place(UrlPlace(settings.store.place))
        if settings.audit is not None:
            _check_audit(settings.audit)
    return batch


def _kept(leaves: Iterable[Leaf]) -> Sequence[Leaf]:
    """Keep the leaves of a batch on disk."""
    try:
        return LeafRecords.of(leaves)
    except OSError as error:
        raise InputError(
            "TMPDIR",
            tempfile.gettempdir(),
            f"does not take the leaves of the batch ({error.strerror})",
            "make room there, or set TMPDIR to another folder",
        ) from None


def _identity(leaf: Leaf) -> bytes:
    """The digest of what a leaf runs. The inputs themselves would stay in memory."""
    return hashlib.sha256(repr((leaf.guest, leaf.stdin, leaf.assumptions)).encode()).digest()


def _check_limits(settings: Settings) -> None:
    """Refuse a guest's own limit of cycles where the prover has no such limits."""
    given = {
        f"programs.{name}.max_cycles": one.max_cycles for name, one in settings.programs.items()
    }
    for field, limit in {"guest.max_cycles": settings.max_cycles, **given}.items():
        if limit:
            try:
                load_prover(replace(settings.prover, max_cycles=limit))
            except InputError as error:
                raise InputError(field, limit, error.problem, error.remedy) from None


def _with_assumptions(settings: Settings, batch: Batch, prover: Prover) -> Batch:
    """The batch with its leaves' assumptions, whose guests have been executed with them."""
    given = {name: one.assumptions for name, one in settings.programs.items()}
    given[settings.guest] = settings.assumptions
    if not any(given.values()) and not any(leaf.assumptions for leaf in batch.leaves):
        return batch
    view = cache_of(settings, RunStore.of(settings)).view()
    with contextlib.ExitStack() as stack:
        if view is not None:
            stack.enter_context(view)
        elsewhere = ReceiptsElsewhere(batch, prover, view, settings.specs)
        batch = with_assumptions(batch, given, prover, elsewhere)
    refuse_missing(batch, lambda jobs: try_leaves(batch, prover, jobs, min(cores(), 8)))
    return batch


def plan_for(settings: Settings, prover: Prover, positions: Sequence[int]) -> Plan:
    """Plan a batch as the settings say.

    Args:
        settings: the settings of the run.
        prover: the prover, whose model of costs may decide the size of groups.
        positions: the leaf job id of each position in the batch.

    Raises:
        InputError: the strategy cannot be used for such a batch.
    """
    chosen = settings.strategy
    return make_plan(
        chosen.name,
        positions,
        chosen.thresholds,
        chosen.fan_in,
        cost=prover.aggregation_cost,
        journal_bytes=max(layout.size() for layout in settings.journals.values()),
    )


def sized(settings: Settings, prover: Prover) -> ProverSpec:
    """The spec of the prover with the size of segments that this machine has the memory for."""
    if not isinstance(prover, Sized):
        return settings.prover
    workers = settings.executor.workers or prover.workers or cores()
    return replace(settings.prover, settings=prover.sized(workers))


def _check_audit(log: Path) -> None:
    """Refuse an audit log that cannot be appended to."""
    try:
        AuditLog(log).check()
    except AuditError as error:
        remedy = "give another file, or use audit=off"
        raise InputError("audit.file", str(error.path), error.reason, remedy) from None


def _check_writable(settings: Settings) -> None:
    """Refuse what cannot be written, now rather than after minutes of proving."""
    folders = [("output", settings.output)]
    metrics = settings.metrics
    for field, file in (("textfile", metrics.textfile), ("ledger", metrics.ledger)):
        if file is not None:
            folders.append((f"metrics.{field}", _replaced(f"metrics.{field}", file).parent))
    # An audit log that exists may stand in a folder that takes no other file.
    if settings.audit is not None and not settings.audit.exists():
        folders.append(("audit.file", followed(settings.audit).parent))
    _check_folders(folders)
    if metrics.ledger is not None:
        _check_ledger(metrics.ledger)
    if metrics.textfile is not None:
        _check_scraped(metrics.textfile)


def _check_ledger(path: Path) -> None:
    """Refuse a ledger of another user's that this one may not read or lock."""
    try:
        Ledger(path).check()
    except OSError as error:
        raise InputError(
            "metrics.ledger",
            str(path),
            f"{error.filename} cannot be used ({error.strerror})",
            "let its owner run `chmod a+r` on it, or give a ledger of its own",
        ) from None


def _check_scraped(textfile: Path) -> None:
    """Refuse a textfile that node_exporter never reads, and tell of one that is in its way."""
    if not is_scraped(textfile):
        raise InputError(
            "metrics.textfile",
            str(textfile),
            "node_exporter reads no file of this name",
            f"give a name that ends in {SUFFIX}",
        )
    for other in rivals(textfile):
        log.warning(
            "%s has a runner's metrics too, in the same folder: node_exporter takes them from one"
            " file only; give all runs of a host the same metrics.textfile",
            other,
        )


def _replaced(field: str, file: Path) -> Path:
    """The file that is replaced where the setting names ``file``. Raises InputError."""
    try:
        return check_replaceable(file, follow=True)
    except OSError as error:
        raise InputError(
            field,
            str(file),
            f"cannot be replaced ({error.strerror})",
            "give a file of its own, or null for none",
        ) from None


def _check_folders(folders: Sequence[tuple[str, Path]]) -> None:
    """Make folders, and refuse those that take no file.

    Those of metrics get the mode 0755 whatever the umask is, because node_exporter and the status
    server, which reads the ledger, run as other users.

    Args:
        folders: the folders, each with the name of the setting that an error names.
    """
    for field, folder in folders:
        probe = folder / f".probe-{uuid.uuid4().hex}"
        try:
            if field.startswith("metrics."):
                make_folder(folder)
            else:
                folder.mkdir(parents=True, exist_ok=True)
            probe.touch()
            probe.unlink()
        except OSError as error:
            raise InputError(
                field,
                str(folder),
                f"cannot be written ({error.strerror})",
                "choose a folder that this user can write",
            ) from None
