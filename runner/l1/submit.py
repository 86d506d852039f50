"""One attempt to bring a batch onto a chain, and all that it leaves: record, metrics, audit log."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from runner.errors import L1Error
from runner.l1.reach import registry_of
from runner.l1.record import write_record
from runner.l1.session import open_session

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from runner.l1.batch import ProvedBatch
    from runner.l1.figures import Figures
    from runner.l1.session import Session, Settled
    from runner.l1.settings import L1Settings

__all__ = ["look", "submit"]


def submit(
    settings: L1Settings, batch: ProvedBatch, figures: Figures, env: Mapping[str, str] = os.environ
) -> Settled:
    """Submit a batch, or go on with that.

    Args:
        settings: where and how to submit.
        batch: the batch.
        figures: what is told of everything that happens, and leaves it in metrics and audit log.
        env: the environment variables.

    Raises:
        InputError: a setting cannot be used.
        L1Error: the batch is not on the chain.
        OSError: a file could not be written.
    """
    with _session(settings, figures, env) as session:
        deployed = session.deploy().contract if settings.local else None
        settled = session.submit(batch, deployed or registry_of(settings))
        write_record(settled)
    return settled


def look(
    settings: L1Settings, batch: ProvedBatch, figures: Figures, env: Mapping[str, str] = os.environ
) -> Settled | None:
    """Find out where the submission of a batch stands; None if it was not submitted from here.

    Raises:
        InputError: a setting cannot be used.
        L1Error: the node does not answer.
        OSError: a file could not be written.
    """
    with _session(settings, figures, env) as session:
        settled = session.look(batch, registry_of(settings))
        if settled is not None:
            write_record(settled)
    return settled


@contextlib.contextmanager
def _session(settings: L1Settings, figures: Figures, env: Mapping[str, str]) -> Iterator[Session]:
    """A session whose figures are published when it is left, whatever became of it."""
    opened = False
    try:
        with open_session(settings, figures, env) as session:
            opened = True
            try:
                yield session
            except L1Error as error:
                figures.failed(error.reason)
                raise
            finally:
                figures.publish(session)
    except L1Error as error:
        if not opened:
            figures.failed(error.reason)
            figures.publish(None)
        raise
