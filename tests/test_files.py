"""Writing replaces nothing but regular files, and goes where followed links lead."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import pytest

from runner.destination import is_stdout, write_out
from runner.files import atomic_write, check_replaceable, followed
from tests.special_files import KINDS, identity, make_special

DATA = b"new\n"


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("linked", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_regular_file_is_refused_and_stays(
    tmp_path: Path, kind: str, *, linked: bool
) -> None:
    special = tmp_path / "special"
    before = make_special(kind, special)
    path = special
    if linked:
        path = tmp_path / "link"
        path.symlink_to(special)
    with pytest.raises(OSError, match=r"regular file|[Tt]oo many levels") as caught:
        atomic_write(path, DATA, follow=True)
    assert caught.value.strerror
    assert identity(special) == before
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "loop"])
def test_it_is_refused_where_links_are_not_followed_either(tmp_path: Path, kind: str) -> None:
    before = make_special(kind, tmp_path / "special")
    with pytest.raises(OSError, match="not a regular file"):
        atomic_write(tmp_path / "special", DATA)
    assert identity(tmp_path / "special") == before


@pytest.mark.parametrize("there", [False, True])
def test_links_of_links_are_followed_and_stay(tmp_path: Path, *, there: bool) -> None:
    folder = tmp_path / "deep" / "folder"
    folder.mkdir(parents=True)
    (tmp_path / "a").symlink_to("deep/b")
    (tmp_path / "deep" / "b").symlink_to(folder / "c")
    (folder / "c").symlink_to("../target")
    if there:
        (tmp_path / "deep" / "target").write_text("old")
    assert os.path.normpath(followed(tmp_path / "a")) == str(tmp_path / "deep" / "target")
    atomic_write(tmp_path / "a", DATA, follow=True)
    assert (tmp_path / "deep" / "target").read_bytes() == DATA
    assert not (tmp_path / "deep" / "target").is_symlink()
    assert all(path.is_symlink() for path in (tmp_path / "a", tmp_path / "deep/b", folder / "c"))
    assert not list(tmp_path.rglob("*.tmp"))


def test_a_link_that_is_not_followed_is_replaced_and_its_target_stays(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("old")
    (tmp_path / "link").symlink_to("target")
    atomic_write(tmp_path / "link", DATA)
    assert (tmp_path / "target").read_text() == "old"
    assert (tmp_path / "link").read_bytes() == DATA
    assert not (tmp_path / "link").is_symlink()


def test_an_open_file_of_a_process_is_no_file_to_replace(tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as file:
        before = identity(tmp_path / "log")
        name = Path(f"/dev/fd/{file.fileno()}")
        with pytest.raises(OSError, match="stream of a process"):
            check_replaceable(name, follow=True)
        write_out(name, DATA)  # but it can be written to
    assert identity(tmp_path / "log") == before
    assert (tmp_path / "log").read_bytes() == DATA


def test_a_fifo_that_is_read_is_written_to(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    before = make_special("fifo", fifo)
    data = DATA * 100_000  # more than a pipe holds
    got: list[bytes] = []
    reading = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    os.set_blocking(reading, True)

    def read() -> None:
        with os.fdopen(reading, "rb") as file:
            got.append(file.read())

    reader = threading.Thread(target=read)
    # A reader that starts first would see the end of a FIFO that nobody writes to.
    keep = os.open(fifo, os.O_WRONLY)
    reader.start()
    write_out(fifo, data)
    os.close(keep)
    reader.join()
    assert got == [data]
    assert identity(fifo) == before


def test_a_fifo_that_nobody_reads_is_not_waited_for(tmp_path: Path) -> None:
    before = make_special("fifo", tmp_path / "fifo")
    with pytest.raises(OSError, match="nobody reads"):
        write_out(tmp_path / "fifo", DATA)
    assert identity(tmp_path / "fifo") == before


def test_a_character_device_is_written_to_and_stays(tmp_path: Path) -> None:
    before = make_special("device", tmp_path / "null")
    (tmp_path / "link").symlink_to("null")
    write_out(tmp_path / "link", DATA)
    assert identity(tmp_path / "null") == before


@pytest.mark.parametrize("kind", ["socket", "disk", "folder", "loop"])
def test_other_things_are_not_written_to(tmp_path: Path, kind: str) -> None:
    before = make_special(kind, tmp_path / "special")
    with pytest.raises(OSError, match=r"regular file|[Tt]oo many levels"):
        write_out(tmp_path / "special", DATA)
    assert identity(tmp_path / "special") == before


@pytest.mark.parametrize("name", ["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", "link"])
def test_standard_output_has_many_names(
    tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes], name: str
) -> None:
    (tmp_path / "link").symlink_to("/dev/stdout")
    assert is_stdout(Path(name))
    write_out(Path(name), DATA)
    assert capfdbinary.readouterr().out == DATA
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link"]


def test_a_folder_is_named_as_such(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError) as caught:
        atomic_write(tmp_path, DATA)
    assert caught.value.errno == errno.EISDIR
