"""The command that checks a finished batch, as it can be pasted into a shell of this machine."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from runner.provers.prover import BUILT_IN

if TYPE_CHECKING:
    from runner.batch.batch import Batch
    from runner.batch.settings import Settings

__all__ = ["check_command", "short"]


def check_command(settings: Settings, batch: Batch) -> str:
    """The command line of ``runner.verify`` for a run's output folder.

    It pins what the run was given: the folder of its manifest, the image id of a program that no
    manifest has, and an adapter that is found by no name. Whoever checks a batch of somebody else
    must know these from elsewhere.
    """
    words = ["python", "-m", "runner.verify", short(settings.output)]
    if settings.prover.guests is not None:
        words += ["--guests", short(settings.guests)]
    if settings.prover.adapter not in BUILT_IN:
        words += ["--adapter", settings.prover.adapter]
    leaves = (batch.guest, *batch.others.values())
    if not all(guest.pinned for guest in leaves):
        # What is allowed takes the place of the manifest's guests, so that they are all named.
        for guest in leaves:
            words += ["--allow", guest.image_id.hex()]
    return shlex.join(words)


def short(path: Path) -> str:
    """A path relative to the working directory, if it is below it."""
    path, here = path.absolute(), Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)
