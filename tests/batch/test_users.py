"""Runs of two users who share a metrics textfile."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

import pytest

from runner.batch.run import run as run_batch
from runner.errors import InputError
from runner.monitoring.ledger import ledger_path
from runner.monitoring.publish import MetricsSettings
from tests import builders
from tests.fakes.guests import write_guests
from tests.users import OTHER, folder_for_all, in_process, needs_root

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from runner.batch.settings import Settings

pytestmark = needs_root


@contextlib.contextmanager
def shared(mode: int) -> Iterator[tuple[Settings, Settings]]:
    """The settings of root's run, which has been done under umask 077, and of the other user's."""
    user, group = OTHER
    with folder_for_all(0o755) as folder:
        write_guests(folder / "guests")
        metrics = folder / "metrics"
        metrics.mkdir()
        os.chown(metrics, 0, group)
        metrics.chmod(mode)
        (folder / "theirs").mkdir()
        os.chown(folder / "theirs", user, group)
        textfile = metrics / "x.prom"
        settings = [
            builders.batch_settings(
                folder / name,
                folder / "guests",
                metrics=MetricsSettings(textfile, ledger_path(textfile)),
            )
            for name in ("ours", "theirs")
        ]
        before = os.umask(0o077)
        try:
            run_batch(settings[0])
        finally:
            os.umask(before)
        yield settings[0], settings[1]


def aggregations(settings: Settings) -> str:
    assert settings.metrics.textfile is not None
    lines = settings.metrics.textfile.read_text().splitlines()
    return next(line for line in lines if line.startswith("l2_aggregation_proof_generation_total "))


def is_refused(settings: Settings, field: str, words: str) -> bool:
    with pytest.raises(InputError) as caught:
        run_batch(settings)
    return caught.value.field == field and words in str(caught.value)


def test_both_users_runs_are_counted_where_both_may_write_to_the_folder() -> None:
    with shared(0o775) as (ours, theirs):
        before = os.umask(0o077)
        try:
            assert in_process(lambda: bool(run_batch(theirs)), *OTHER)
        finally:
            os.umask(before)
        assert aggregations(ours).endswith(" 2.0")
        run_batch(ours)
        assert aggregations(ours).endswith(" 3.0")


@pytest.mark.parametrize(
    ("mode", "words"),
    [(0o755, "choose a folder that this user can write"), (0o1777, "the sticky bit")],
)
def test_a_textfile_that_the_second_user_cannot_replace_is_refused_before_any_proof(
    mode: int, words: str
) -> None:
    with shared(mode) as (ours, theirs):
        assert in_process(lambda: is_refused(theirs, "metrics.textfile", words), *OTHER)
        assert not (theirs.output / "result.json").exists()
        assert aggregations(ours).endswith(" 1.0")


@pytest.mark.parametrize("name", ["", ".lock"])
def test_a_ledger_that_the_second_user_cannot_read_or_lock_is_refused_before_any_proof(
    name: str,
) -> None:
    with shared(0o775) as (ours, theirs):
        assert ours.metrics.ledger is not None
        path: Path = ours.metrics.ledger.with_name(f"{ours.metrics.ledger.name}{name}")
        path.chmod(0o600)
        words = f"{path} cannot be used (Permission denied); let its owner"
        assert in_process(lambda: is_refused(theirs, "metrics.ledger", words), *OTHER)
        assert not (theirs.output / "result.json").exists()
