"""Parts of a test that run as another user, which only root can start."""

from __future__ import annotations

import contextlib
import os
import tempfile
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

OTHER = (65534, 54321)
"""The user and the group of a process that owns nothing."""

needs_root = pytest.mark.skipif(
    os.geteuid() != 0, reason="only root can start a process of another user"
)


@contextlib.contextmanager
def folder_for_all(mode: int, group: int = 0) -> Iterator[Path]:
    """An empty folder that other users can reach, unlike ``tmp_path``."""
    with tempfile.TemporaryDirectory(prefix="zk-batch-users-") as name:
        folder = Path(name)
        os.chown(folder, -1, group)
        folder.chmod(mode)
        yield folder


def in_process(test: Callable[[], bool], user: int, group: int) -> bool:
    """Whether a test holds in a process of this user, with this group and no other."""
    child = os.fork()
    if child == 0:
        code = 2
        try:
            os.setgroups([])
            os.setgid(group)
            os.setuid(user)
            code = 0 if test() else 1
        except BaseException:  # noqa: BLE001  # the process ends here, whatever happens
            traceback.print_exc()
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    found = os.waitstatus_to_exitcode(status)
    assert found in (0, 1), f"the process of user {user} ended with {found}"
    return found == 0
