"""Locks between processes and users, and the one owner of a folder."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from runner.errors import InputError
from runner.files import SHIPPED
from runner.locks import RUN_LOCK, SWEEP_LOCK, check_lock, locked, owned
from tests.special_files import identity, make_special
from tests.users import OTHER, folder_for_all, in_process, needs_root

if TYPE_CHECKING:
    from pathlib import Path

HOLD = """
import sys, time
from pathlib import Path
from runner.locks import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


def _is_held(path: Path) -> bool:
    try:
        with locked(path):
            return False
    except TimeoutError:
        return True


def test_a_lock_is_held_until_its_context_ends_and_stays_as_a_file(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with locked(path):
        assert _is_held(path)
    assert not _is_held(path)
    assert path.stat().st_mode & 0o777 == 0o644


def test_a_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], cwd=SHIPPED, stdout=subprocess.PIPE
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    assert _is_held(path)
    holder.kill()
    holder.wait()
    holder.stdout.close()
    assert not _is_held(path)


@needs_root
@pytest.mark.parametrize("mode", [0o775, 0o1777])
def test_users_take_turns_at_a_lock_that_one_of_them_has_made(mode: int) -> None:
    before = os.umask(0o077)
    try:
        with folder_for_all(mode) as folder:
            path = folder / "lock"
            with locked(path):
                assert in_process(lambda: _is_held(path), *OTHER)
            assert in_process(lambda: not _is_held(path), *OTHER)
    finally:
        os.umask(before)


@pytest.mark.parametrize("kind", ["fifo", "socket", "device", "folder", "loop"])
def test_what_is_no_lock_is_refused_and_stays(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / RUN_LOCK
    before = make_special(kind, path)
    with pytest.raises(OSError, match=r"regular file|symbolic link|directory"):
        check_lock(path)
    with (
        pytest.raises(InputError, match=re.escape(f"output = '{tmp_path}': its {RUN_LOCK} ")),
        owned(tmp_path, RUN_LOCK, "output"),
    ):
        pass
    assert identity(path) == before


def test_a_lock_that_is_not_there_is_not_made_by_a_check(tmp_path: Path) -> None:
    check_lock(tmp_path / "lock")
    assert not list(tmp_path.iterdir())


def test_a_folder_has_one_owner(tmp_path: Path) -> None:
    with owned(tmp_path, RUN_LOCK, "output"), owned(tmp_path, SWEEP_LOCK, "hydra.sweep.dir"):
        with (
            pytest.raises(InputError, match=r"another run is at work.*wait until it has ended"),
            owned(tmp_path, RUN_LOCK, "output"),
        ):
            pass
        with (
            pytest.raises(InputError, match="another sweep is at work"),
            owned(tmp_path, SWEEP_LOCK, "hydra.sweep.dir"),
        ):
            pass
    with owned(tmp_path, RUN_LOCK, "output"):
        pass


def test_without_locks_a_folder_is_used_with_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def none(_handle: int, _operation: int) -> None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr(fcntl, "flock", none)
    with owned(tmp_path, RUN_LOCK, "output"):
        pass
    assert "this file system has no locks" in caplog.text
