"""The metrics file is whole, durable and readable by others, and nothing is left beside it."""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING

import pytest

from runner.files import atomic_write, fsync_folder
from runner.monitoring.textfile import write_textfile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

DATA = b"# TYPE a counter\na 1\n"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def strict_umask() -> Iterator[None]:
    before = os.umask(0o077)
    yield
    os.umask(before)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The order of the system calls that decide whether a crash can lose the file."""
    made: list[str] = []

    def spy(name: str, real: Callable[..., object]) -> Callable[..., object]:
        def called(*args: object) -> object:
            what = name
            if name == "fsync" and isinstance(args[0], int):
                what += " folder" if stat.S_ISDIR(os.fstat(args[0]).st_mode) else " file"
            made.append(what)
            return real(*args)

        return called

    monkeypatch.setattr(os, "fsync", spy("fsync", os.fsync))
    monkeypatch.setattr(os, "replace", spy("replace", os.replace))
    return made


def test_writes_and_replaces(tmp_path: Path) -> None:
    target = tmp_path / "zk.prom"
    write_textfile(target, b"old 1\n")
    write_textfile(target, DATA)
    assert target.read_bytes() == DATA
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.usefixtures("strict_umask")
def test_others_can_reach_and_read_it_under_umask_077(tmp_path: Path) -> None:
    target = tmp_path / "new" / "deeper" / "zk.prom"
    write_textfile(target, DATA)
    assert mode(target) == 0o644
    assert mode(target.parent) == mode(target.parent.parent) == 0o755


def test_a_folder_that_exists_keeps_its_mode(tmp_path: Path) -> None:
    folder = tmp_path / "own"
    folder.mkdir(mode=0o700)
    write_textfile(folder / "zk.prom", DATA)
    assert mode(folder) == 0o700


def test_file_is_synced_before_the_rename_and_the_folder_after(
    tmp_path: Path, calls: list[str]
) -> None:
    write_textfile(tmp_path / "zk.prom", DATA)
    assert calls == ["fsync file", "replace", "fsync folder"]


def test_failed_write_leaves_the_old_file_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "zk.prom"
    write_textfile(target, DATA)

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "no space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space"):
        write_textfile(target, b"new 2\n")
    assert target.read_bytes() == DATA
    assert list(tmp_path.iterdir()) == [target]


def test_failed_rename_leaves_no_temporary_file(tmp_path: Path) -> None:
    target = tmp_path / "zk.prom"
    target.mkdir()
    with pytest.raises(IsADirectoryError):
        write_textfile(target, DATA)
    assert list(tmp_path.iterdir()) == [target]


def test_temporary_file_is_in_the_same_folder_and_not_taken_for_metrics(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    real = os.replace

    def spy(source: Path, target: Path) -> None:
        seen.extend(entry.name for entry in tmp_path.iterdir())
        real(source, target)

    monkeypatch.setattr(os, "replace", spy)
    write_textfile(tmp_path / "zk.prom", DATA)
    assert len(seen) == 1
    assert not seen[0].endswith(".prom")


def test_parent_that_is_a_file_is_an_os_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(OSError, match="File exists"):
        write_textfile(tmp_path / "file" / "zk.prom", DATA)


@pytest.mark.parametrize("data", [b"", b"a 1"])
def test_data_without_final_newline_is_refused(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(ValueError, match="newline"):
        write_textfile(tmp_path / "zk.prom", data)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("strict_umask")
def test_atomic_write_sets_the_mode_asked_for(tmp_path: Path) -> None:
    atomic_write(tmp_path / "a", b"", mode=0o600)
    atomic_write(tmp_path / "b", b"x", mode=0o664)
    assert mode(tmp_path / "a") == 0o600
    assert mode(tmp_path / "b") == 0o664


@pytest.mark.parametrize("code", [errno.EINVAL, errno.EIO])
def test_only_a_folder_that_cannot_be_synced_at_all_is_let_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def fail(_: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", fail)
    if code == errno.EINVAL:
        fsync_folder(tmp_path)
    else:
        with pytest.raises(OSError, match="Input/output"):
            fsync_folder(tmp_path)
