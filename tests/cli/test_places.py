"""The files and folders that settings name: what is refused before a proof, and what they share."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from runner.monitoring.ledger import ledger_path
from tests.command import RUN, run
from tests.special_files import KINDS, identity, make_special

if TYPE_CHECKING:
    from collections.abc import Sequence

pytestmark = pytest.mark.usefixtures("elsewhere")

EXECUTE = [*RUN, "prover=execute", "guest.count=2"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("field", ["metrics.textfile", "metrics.ledger", "audit.file"])
def test_what_is_no_file_is_refused_before_a_proof_and_stays(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    field: str,
    kind: str,
) -> None:
    special = tmp_path / "special"
    before = make_special(kind, special)
    assert run(monkeypatch, *EXECUTE, "output=out", f"{field}={special}") == 2
    (line,) = (line for line in capsys.readouterr().err.splitlines() if line.startswith("error"))
    assert line.startswith(f"error: {field} = '{special}': ")
    assert re.search("not a regular file|[Tt]oo many levels", line)
    assert "; give" in line
    assert identity(special) == before
    assert not (tmp_path / "out" / "result.json").exists()


def _counted(text: str) -> str:
    found = re.search(r"^l2_executed_batches_total (\S+)$", text, re.MULTILINE)
    return found[1] if found else text


@pytest.mark.parametrize(
    "names", [("real/x.prom", "a.prom", "b.prom"), ("b.prom", "a.prom", "real/x.prom")]
)
def test_all_names_of_a_textfile_have_one_ledger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: Sequence[str]
) -> None:
    Path("a.prom").symlink_to("b.prom")
    Path("b.prom").symlink_to("real/x.prom")
    for name in names:
        assert run(monkeypatch, *EXECUTE, f"metrics.textfile={name}") == 0
    assert Path("a.prom").is_symlink()
    assert Path("b.prom").is_symlink()
    assert _counted(Path("real/x.prom").read_text()).startswith("3")
    assert {path.name for path in Path("real").iterdir()} == {
        "x.prom",
        "x.prom.ledger.json",
        "x.prom.ledger.json.lock",
    }
    assert {path.name for path in tmp_path.iterdir() if path.is_file()} == {"a.prom", "b.prom"}


def test_a_link_to_a_ledger_and_an_audit_log_is_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ledger", "audit"):
        Path(name).symlink_to(f"there/{name}.target")
    for _ in range(2):
        arguments = ["metrics.ledger=ledger", "audit.file=audit", "metrics.textfile=x.prom"]
        assert run(monkeypatch, *EXECUTE, *arguments) == 0
    assert Path("ledger").is_symlink()
    assert Path("audit").is_symlink()
    assert {path.name for path in Path("there").iterdir()} == {
        "ledger.target",
        "ledger.target.lock",
        "audit.target",
    }
    assert _counted(Path("x.prom").read_text()).startswith("2")
    assert ledger_path(tmp_path / "x.prom") == tmp_path / "x.prom.ledger.json"


def test_others_can_read_metrics_of_a_batch_under_umask_077(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Path("own").mkdir(mode=0o700)
    before = os.umask(0o077)
    try:
        places = ["metrics.textfile=new/deep/x.prom", "metrics.ledger=ledger/l.json"]
        assert run(monkeypatch, *EXECUTE, "output=out", "audit.file=log/a.jsonl", *places) == 0
        assert run(monkeypatch, *EXECUTE, "metrics.textfile=own/x.prom") == 0
    finally:
        os.umask(before)

    def mode(name: str) -> int:
        return stat.S_IMODE(Path(name).stat().st_mode)

    assert [mode(name) for name in ("new", "new/deep", "ledger")] == [0o755] * 3
    files = ("new/deep/x.prom", "ledger/l.json", "own/x.prom", "own/x.prom.ledger.json")
    assert [mode(name) for name in files] == [0o644] * 4
    # What is not for other users stays as the umask says, and a folder as its owner made it.
    assert [mode(name) for name in ("out", "log", "own")] == [0o700] * 3


@pytest.mark.parametrize("name", ["x.txt", "prom", ".prom.old", "x.PROM"])
def test_a_textfile_that_is_never_scraped_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    assert run(monkeypatch, *EXECUTE, "output=out", f"metrics.textfile={name}") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("node_exporter reads no file of this name; give a name that ends in .prom")
    assert not Path("out/result.json").exists()
    Path("link.prom").symlink_to(name)  # by this name it is scraped
    assert run(monkeypatch, *EXECUTE, "metrics.textfile=link.prom") == 0


def test_a_second_textfile_in_a_folder_is_told_before_the_batch(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, *EXECUTE, "metrics.textfile=text/one.prom") == 0
    Path("text/other.prom").write_text("# nobody's\nup 1\n")
    Path("text/same.prom").symlink_to("one.prom")
    for name in ("one", "same"):
        assert run(monkeypatch, *EXECUTE, f"metrics.textfile=text/{name}.prom") == 0
    assert "has a runner's metrics too" not in capsys.readouterr().err
    assert run(monkeypatch, *EXECUTE, "metrics.textfile=text/two.prom") == 0
    lines = capsys.readouterr().err.splitlines()
    (told,) = (at for at, line in enumerate(lines) if "has a runner's metrics too" in line)
    (begun,) = (at for at, line in enumerate(lines) if "2 leaves of fibonacci" in line)
    assert "WARNING text/one.prom has" in lines[told]
    assert told < begun
