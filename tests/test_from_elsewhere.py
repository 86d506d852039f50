"""Files that may be anybody's, in every place where one is read: one clear line, and no hang.

The files of a batch, an inclusion proof and the proof cache have such tests in their own rooms.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
from typing import TYPE_CHECKING, NoReturn

import pytest

from runner.alerts import config
from runner.alerts.__main__ import main as alerts
from runner.alerts.config import CONF
from runner.audit.log import AuditLog, read_log
from runner.cli.sweep import ExistingFolder, inspect_folder
from runner.codec.reads import word_field
from runner.doctor.diagnosis import guest_state
from runner.errors import AuditError, InputError, RunnerError
from runner.monitoring.ledger import Ledger
from runner.monitoring.live import live_path, read_last
from runner.plan.input_file import read_inputs
from runner.provers.guests import Manifest, read_elf
from runner.server.site import Site

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

NOT_A_FILE = r"a symbolic link|not a regular file|larger than \d+ bytes"


def to_zero(path: Path) -> None:
    path.symlink_to("/dev/zero")


def huge(path: Path) -> None:
    path.touch()
    os.truncate(path, 1 << 40)


FAULTS: tuple[Callable[[Path], None], ...] = (to_zero, os.mkfifo, huge)
every_fault = pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)

DEEP = "[" * 100_000
TWICE = '{"format": 1, "format": 1}'
every_json = pytest.mark.parametrize("text", [DEEP, TWICE, "NaN", "[]", "null", '"\\ud800"', ""])


@pytest.fixture(autouse=True)
def _no_hang() -> Iterator[None]:
    """Fail a test that waits, where it would otherwise wait for ever."""

    def late(*_: object) -> NoReturn:
        raise AssertionError("it waits for a file")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(20)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def replaced(path: Path, fault: Callable[[Path], None]) -> Path:
    path.unlink(missing_ok=True)
    fault(path)
    return path


def one_line(error: BaseException) -> None:
    assert len(str(error).splitlines()) == 1
    assert len(str(error)) < 500


# -- guests --------------------------------------------------------------------------------------


@every_fault
def test_a_manifest(fault: Callable[[Path], None], guests: Path) -> None:
    replaced(guests / "manifest.json", fault)
    with pytest.raises(InputError, match=NOT_A_FILE) as caught:
        Manifest.load(guests)
    one_line(caught.value)


@every_json
def test_a_manifest_of_other_json(text: str, guests: Path) -> None:
    (guests / "manifest.json").write_text(text)
    with pytest.raises(InputError, match="not a guest manifest") as caught:
        Manifest.load(guests)
    one_line(caught.value)


@every_fault
def test_a_program(fault: Callable[[Path], None], guests: Path) -> None:
    guest = Manifest.load(guests).get("sha256")
    read_elf.cache_clear()
    replaced(guest.elf_path, fault)
    with pytest.raises(InputError, match=NOT_A_FILE) as caught:
        Manifest.load(guests).get("sha256")
    one_line(caught.value)
    assert guest_state(guest, None).state.startswith("cannot be read")


@pytest.mark.parametrize("name", ["/etc/passwd", "../x", "elfs/../../x", "", ".", "a\0b", 1, None])
def test_a_program_is_below_the_manifest(name: object, guests: Path) -> None:
    data = json.loads((guests / "manifest.json").read_text())
    data["guests"]["sha256"]["elf"] = name
    (guests / "manifest.json").write_text(json.dumps(data))
    with pytest.raises(InputError, match=r"leads out of the folder|is no path"):
        Manifest.load(guests)


def test_the_folder_of_guests_may_be_a_link(guests: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(guests)
    assert Manifest.load(tmp_path / "link").get("sha256").name == "sha256"


# -- inputs --------------------------------------------------------------------------------------


def inputs(path: Path) -> list[object]:
    return [value for _, value in read_inputs(path, [word_field("n", "u32")])]


@pytest.mark.parametrize("name", ["inputs.jsonl", "inputs.csv"])
@every_fault
def test_inputs(
    fault: Callable[[Path], None], name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runner.plan.input_file._MOST_LINE_BYTES", 1 << 20)
    path = replaced(tmp_path / name, fault)
    with pytest.raises(InputError, match=r"not a regular file|more than 1048576 bytes") as caught:
        inputs(path)
    one_line(caught.value)


def test_inputs_may_be_a_link_to_a_file(tmp_path: Path) -> None:
    (tmp_path / "real.jsonl").write_text("7\n")
    (tmp_path / "inputs.jsonl").symlink_to("real.jsonl")
    assert inputs(tmp_path / "inputs.jsonl") == [7]


@pytest.mark.parametrize("text", [DEEP, '{"n": 1, "n": 2}', "NaN", "1" + "0" * 5000])
def test_inputs_of_other_json(text: str, tmp_path: Path) -> None:
    path = tmp_path / "inputs.jsonl"
    path.write_text(text)
    with pytest.raises(InputError, match="not JSON") as caught:
        inputs(path)
    one_line(caught.value)


# -- alerts --------------------------------------------------------------------------------------


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    return shutil.copytree(CONF, tmp_path / "conf")


@every_fault
def test_alert_settings(fault: Callable[[Path], None], conf: Path) -> None:
    replaced(conf / "common.yaml", fault)
    with pytest.raises(InputError, match=NOT_A_FILE) as caught:
        config.load(conf)
    one_line(caught.value)


ALIASES = "".join(f"a{n + 1}: &a{n + 1} [{', '.join([f'*a{n}'] * 9)}]\n" for n in range(30))


@pytest.mark.parametrize(
    "text",
    [
        "a0: &a0 [x]\n" + ALIASES,
        "&a [*a]\n",
        "[" * 50_000,
        "? [a]\n: 1\n",
        "? {a: 1}\n: 1\n",
        "runbooks: 1\nrunbooks: 2\n",
        "\x00",
        "\ud800",
        "%YAML 9\n---\n",
        "!!python/object:os.system {}\n",
        "2001-99-99\n",
    ],
)
def test_alert_settings_of_other_yaml(text: str, conf: Path) -> None:
    (conf / "common.yaml").write_bytes(text.encode(errors="surrogatepass"))
    with pytest.raises(InputError) as caught:
        config.load(conf)
    one_line(caught.value)


def test_many_keys_do_not_take_long(conf: Path) -> None:
    (conf / "common.yaml").write_text("".join(f"k{n}: 1\n" for n in range(6_000)))
    with pytest.raises(InputError, match="no such field"):
        config.load(conf)


@every_fault
def test_rules_that_are_compared(
    fault: Callable[[Path], None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = replaced(tmp_path / "rules.yml", fault)
    assert alerts(["--check", "--out", str(path)]) == 1
    assert "make it" in capsys.readouterr().err


# -- what runs leave for others ------------------------------------------------------------------


@every_fault
def test_a_textfile_with_its_ledger_and_live_figures(
    fault: Callable[[Path], None], tmp_path: Path
) -> None:
    textfile = tmp_path / "runner.prom"
    for path in (textfile, Ledger(tmp_path / "ledger.json").path, live_path(textfile)):
        replaced(path, fault)
    site = Site(textfile, ledger=tmp_path / "ledger.json")
    for page in ("/", "/metrics", "/health", "/status.json"):
        assert site.respond(page).status in {200, 503}
    assert read_last(textfile) == (None, False)
    with pytest.raises(OSError, match=NOT_A_FILE):
        Ledger(tmp_path / "ledger.json").read()


@every_json
def test_live_figures_of_other_json(text: str, tmp_path: Path) -> None:
    live_path(tmp_path / "runner.prom").write_text(text)
    assert read_last(tmp_path / "runner.prom") == (None, False)


@pytest.mark.parametrize("fault", [to_zero, os.mkfifo], ids=lambda fault: fault.__name__)
def test_an_audit_log(fault: Callable[[Path], None], tmp_path: Path) -> None:
    path = replaced(tmp_path / "audit.jsonl", fault)
    for work in (AuditLog(path).check, lambda: AuditLog(path).append([{"event": "x"}])):
        with pytest.raises(AuditError, match="not a regular file") as caught:
            work()
        one_line(caught.value)
    with pytest.raises((OSError, RunnerError)):
        list(read_log(path))


@every_fault
def test_the_record_of_a_sweeps_job(fault: Callable[[Path], None], tmp_path: Path) -> None:
    replaced(tmp_path / "result.json", fault)
    (tmp_path / "SHA256SUMS").touch()
    assert inspect_folder(tmp_path) == ExistingFolder(tmp_path.name)
