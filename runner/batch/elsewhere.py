"""What a run tells an engine whose workers may be on other machines, and gives to the store."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from runner.engines.engine import Requirements
from runner.errors import InputError, StoreError
from runner.jobs.facts import common_facts, worker_facts
from runner.jobs.placement import near
from runner.jobs.site import Site, digests, folder_files
from runner.model import ReceiptKind
from runner.untrusted import read_regular

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runner.batch.batch import Batch
    from runner.batch.run_store import RunStore
    from runner.batch.settings import Settings
    from runner.engines.engine import Engine, Host
    from runner.provers.prover import Prover
    from runner.store.artifacts import Artifacts

__all__ = ["ready_engine"]

_MOST_BYTES = 1 << 30


def ready_engine(
    settings: Settings, batch: Batch, prover: Prover, store: RunStore | None
) -> tuple[Engine, Sequence[Host], Site | None]:
    """Make the engine of a run, and have it reach its workers.

    Args:
        settings: The settings of the run.
        batch: The batch.
        prover: The prover in this process.
        store: The store of the run, or None if there is none.

    Returns:
        The engine, its hosts, and what its workers need for the jobs, which is None if they are on
        this machine.

    Raises:
        InputError: The workers cannot be reached, the files of the guests cannot be read, or the
            store does not take them.
    """
    engine = settings.make_engine()
    if prover.workers is not None:
        engine.suggest_workers(prover.workers)
    try:
        artifacts = None if store is None else store.artifacts
        site = _send_ahead(engine, settings, batch, prover, artifacts)
        return engine, engine.hosts(), site
    except BaseException:
        engine.kill()
        raise


def _send_ahead(
    engine: Engine, settings: Settings, batch: Batch, prover: Prover, artifacts: Artifacts | None
) -> Site | None:
    """Give the store the files of the guests, and tell the engine what its workers must have.

    Args:
        engine: The engine of the run. It has not been asked for its hosts yet.
        settings: The settings of the run.
        batch: The batch.
        prover: The prover in this process.
        artifacts: The store, or None if there is none.

    Returns:
        What the workers need for the jobs, or None if they are on this machine.

    Raises:
        InputError: The files cannot be read, or the store does not take them.
    """
    if not engine.elsewhere:
        return None
    programs = batch.guests
    paths = folder_files(settings.guests, programs)
    files = digests(paths)
    if artifacts is not None:
        try:
            for path in paths.values():
                artifacts.put(read_regular(path, _MOST_BYTES))
        except StoreError as error:
            raise InputError(
                "store.url",
                error.url,
                f"does not take the guests ({error.reason})",
                "see docs/cluster.md, or use store=off",
            ) from None
    site = Site(
        prover=batch.prover,
        files=tuple(sorted(files.items())),
        programs=programs,
        store=None if artifacts is None or settings.store is None else settings.store.place,
        caches=settings.cache.keeps and batch.prover.kind is not ReceiptKind.EXECUTE,
    )
    engine.require(
        Requirements(
            facts=functools.partial(worker_facts, site),
            expected=common_facts(prover, programs),
            files={}
            if artifacts is not None
            else {digest: paths[name] for name, digest in files.items()},
            near=near,
        )
    )
    return site
