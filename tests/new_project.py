"""The place in the cache where tests compile a new project, so that the second time is short."""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from runner.locks import locked

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["compiled_before"]


@contextmanager
def compiled_before() -> Iterator[Path]:
    """A folder in the cache, in which cargo finds what an earlier test run has compiled.

    Cargo compiles everything anew for a project in another place, because its path is in the flags.
    """
    cache = Path(os.environ.get("RUNNER_CACHE", Path.home() / ".cache" / "zk-batch-runner"))
    folder = cache / "project-test"
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / ".lock", wait_s=600):
        shutil.rmtree(folder / "mine", ignore_errors=True)
        yield folder
