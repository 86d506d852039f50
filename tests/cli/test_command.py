"""The command line as a person uses it, with the real guests in execute mode and with bad input."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest

from runner.provers.guests import DEFAULT_FOLDER
from tests.command import RUN, run

if TYPE_CHECKING:
    from pathlib import Path


pytestmark = pytest.mark.usefixtures("elsewhere")


# The arguments, and what the one line must name: the field, its value, and the remedy.
BAD_INPUT = [
    (["guest.inputs=[94]"], "guest.inputs[0].n", "94", "give an integer from 0 to 93"),
    (["guest.inputs=[10,-1]"], "guest.inputs[1].n", "-1", "from 0 to 93"),
    (["guest.inputs=[4294967296]"], "guest.inputs[0].n", "4294967296", "from 0 to 93"),
    (["guest.inputs=[ten]"], "guest.inputs[0].n", "'ten'", "from 0 to 93"),
    (["guest.inputs=[1.5]"], "guest.inputs[0].n", "1.5", "from 0 to 93"),
    (["guest.inputs=[]"], "guest.inputs", "[]", "at least one"),
    (["guest.count=0"], "guest.count", "0", "give"),
    (["guest.inputs=[1]", "guest.count=2"], "guest.inputs", "guest.count", "exactly one"),
    (["guest=nobody"], "guest", "'nobody'", "fibonacci, program, sha256"),
    (["guest.name=nobody"], "guest.name", "'nobody'", "known guests"),
    (["strategy=nobody"], "strategy", "'nobody'", "three_level"),
    (["prover=nobody"], "prover", "'nobody'", "composite"),
    (["strategy.two_level_from=6"], "strategy.two_level_from", "6", "overlaps"),
    (["strategy.three_level_from=20"], "strategy.three_level_from", "20", "backwards"),
    (["strategy.fan_in=1"], "strategy.fan_in", "1", "at least 2"),
    (["guests=/nowhere"], "guests", "/nowhere", "compile_guests.sh"),
    (["guest=program"], "guest.elf", "None", "give the file"),
    (
        ["guest=program", "guest.elf=/bin/sh"],
        "guest.elf",
        "/bin/sh",
        "for 32-bit RISC-V",
    ),
    (["guest=program", "guest.elf=/nowhere/it"], "guest.elf", "/nowhere/it", "No such file"),
    (["guest=program", "guest.elf='/a b'"], "guest.name", "a b", "give guest.name=NAME"),
    (["guest.elf=/bin/sh", "prover=openvm"], "guest.elf", "/bin/sh", "the zkVM"),
    (["guest.inputs_file=/nowhere.csv"], "guest.inputs_file", "/nowhere.csv", "readable"),
    (["output=/proc/no/such"], "output", "/proc", "choose a folder"),
    (["metrics.textfile=/proc/no/x.prom"], "metrics.textfile", "/proc", "choose a folder"),
    (["cache.folder=/proc/no"], "cache.folder", "/proc/no", "cache=off"),
    (["cache.max_entries=lots"], "cache.max_entries", "'lots'", "give 1 or more"),
    (["guest.cuont=3"], "guest.cuont", "'3'", "no such setting"),
    (["cuont=3"], "cuont", "'3'", "no such setting"),
    (["prover.segment_size=3"], "prover.segment_size", "'3'", "no such setting"),
    (["cache.size=3"], "cache.size", "'3'", "no such setting"),
    (["+prover.segment_size=3"], "prover.segment_size", "3", "it has segment_po2"),
    (["prover.segment_po2=30"], "prover.segment_po2", "30", "14 to 22"),
    (["+cache.size=3"], "cache", "ProofCache", "cache=off"),
    (["executor=inline", "executor.workers=2"], "executor.workers", "2", "executor=processes"),
    (["guest.inputs=[1"], "command line", "guest.inputs=[1", "NAME=VALUE"),
    (["prover.adapter=other"], "prover.adapter", "'other'", "risc0"),
    (["log_format=xml"], "log_format", "'xml'", "text, json"),
    (["quiet=maybe"], "quiet", "'maybe'", "--help"),
    (["executor=inline", "executor.timeout_s=9"], "executor.timeout_s", "9", "null"),
]


@pytest.mark.parametrize("bad", BAD_INPUT, ids=[" ".join(bad[0]) for bad in BAD_INPUT])
def test_bad_input_is_one_line_and_exit_code_2(
    bad: tuple[list[str], str, str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    arguments, field, value, remedy = bad
    assert run(monkeypatch, "log_level=warning", *arguments) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert err.count("\n") == 1, err
    assert err.startswith(f"error: {field}")
    assert value in err
    assert remedy in err
    assert not list(tmp_path.rglob("*.receipt"))


def test_a_bad_line_of_an_inputs_file_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in.jsonl").write_text('10\n{"n": 20}\nten\n')
    assert run(monkeypatch, "guest.inputs_file=in.jsonl") == 2
    assert "in.jsonl:3" in capfd.readouterr().err


@pytest.mark.parametrize("damage", ["altered", "missing"])
def test_a_missing_or_altered_elf_is_named(
    damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(DEFAULT_FOLDER / "elfs", tmp_path / "guests" / "elfs")
    shutil.copy(DEFAULT_FOLDER / "manifest.json", tmp_path / "guests")
    elf = tmp_path / "guests" / "elfs" / "fibonacci.bin"
    if damage == "missing":
        elf.unlink()
    else:
        data = bytearray(elf.read_bytes())
        data[-1] ^= 1
        elf.write_bytes(data)
    assert run(monkeypatch, f"guests={tmp_path / 'guests'}") == 2
    err = capfd.readouterr().err
    assert "guests.fibonacci.elf" in err
    assert "compile_guests.sh" in err


def test_a_binary_that_is_no_program_is_unusable_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(DEFAULT_FOLDER / "elfs", tmp_path / "guests" / "elfs")
    manifest = json.loads((DEFAULT_FOLDER / "manifest.json").read_text())
    elf = tmp_path / "guests" / "elfs" / "fibonacci.bin"
    elf.write_bytes(b"R0BF" + bytes(100))
    manifest["guests"]["fibonacci"]["elf_sha256"] = sha256(elf.read_bytes()).hexdigest()
    (tmp_path / "guests" / "manifest.json").write_text(json.dumps(manifest))
    assert run(monkeypatch, f"guests={tmp_path / 'guests'}") == 2
    err = capfd.readouterr().err
    assert err.startswith(f"error: guests.fibonacci.elf = '{elf}': not a program binary")
    assert "compile_guests.sh" in err


@pytest.mark.parametrize("form", ["user", "combined"])
def test_a_program_is_named_by_its_file_alone(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    binary = (DEFAULT_FOLDER / "elfs" / "sha256.bin").read_bytes()
    elf = binary if form == "combined" else user_elf(binary)
    (tmp_path / "sha256").write_bytes(elf)
    given = ["guest=program", "guest.elf=sha256", "guest.inputs=[a,b]"]
    assert run(monkeypatch, *RUN, "prover=execute", *given, "output=o") == 0
    record = json.loads((tmp_path / "o" / "result.json").read_text())
    pin = json.loads((DEFAULT_FOLDER / "manifest.json").read_text())["guests"]["sha256"]
    assert record["guests"]["sha256"]["image_id"] == pin["image_id"]
    assert record["config"]["guest"]["name"] == "sha256"
    lines = (tmp_path / "o" / "leaves.jsonl").read_text().splitlines()
    assert [json.loads(line)["journal"] for line in lines] == [
        sha256(b"a").hexdigest(),
        sha256(b"b").hexdigest(),
    ]


def user_elf(binary: bytes) -> bytes:
    """The user's part of a program binary; see runner/provers/risc0/program.py."""
    at = 12 + int.from_bytes(binary[8:12], "little")
    size = int.from_bytes(binary[at : at + 4], "little")
    return binary[at + 4 : at + 4 + size]


def test_a_manifest_with_another_image_id_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(DEFAULT_FOLDER / "elfs", tmp_path / "guests" / "elfs")
    manifest = json.loads((DEFAULT_FOLDER / "manifest.json").read_text())
    manifest["guests"]["fibonacci"]["image_id"] = "00" * 32
    (tmp_path / "guests" / "manifest.json").write_text(json.dumps(manifest))
    assert run(monkeypatch, f"guests={tmp_path / 'guests'}") == 2
    assert "guests.fibonacci.image_id" in capfd.readouterr().err


def test_succinct_needs_recursion_programs(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    import runner_risc0

    if runner_risc0.build_info()["recursion"]:
        pytest.skip("this build has the recursion programs")
    assert run(monkeypatch, "prover=succinct") == 2
    err = capfd.readouterr().err
    assert err.startswith("error: prover = 'succinct': ")
    assert "recursion programs" in err
    assert "make setup" in err


def test_executing_a_batch_leaves_a_labelled_result_and_metrics(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    arguments = ["prover=execute", "guest.inputs=[10,20,30,40,50,60]", "output=out"]
    assert run(monkeypatch, *RUN, *arguments, "metrics.textfile=text/runner.prom") == 0
    out, err = capfd.readouterr()
    assert "NOTHING PROVED" in out
    assert "nothing is proved" in err
    record = json.loads((tmp_path / "out" / "result.json").read_text())
    assert (record["status"], record["kind"]) == ("ok", "execute")
    assert record["root"]["verified_count"] == 6
    assert record["root"]["proved"] is False
    assert len(record["jobs"]) == 7
    lines = (tmp_path / "out" / "leaves.jsonl").read_text().splitlines()
    assert [json.loads(line)["shows"] for line in lines][:2] == ["55", "6765"]
    text = (tmp_path / "text" / "runner.prom").read_text()
    assert "\nl2_executions_total 7.0\n" in text
    assert "\nl2_proof_generation_total 0.0\n" in text
    assert 'receipt_kind="execute"' in text
    assert "\nl2_last_run_exit_status 0.0\n" in text
    assert not (tmp_path / "proofs").exists()


def test_metrics_that_cannot_be_counted_are_logged_and_fail_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = '{"format": "zk-batch-runner metrics ledger", "version": 99}'
    (tmp_path / "l.json").write_text(later)
    arguments = ["prover=execute", "output=out", "metrics.ledger=l.json"]
    assert run(monkeypatch, *RUN, *arguments) == 0
    assert "metrics of this run not counted" in (tmp_path / "out" / "run.log").read_text()
    assert (tmp_path / "l.json").read_text() == later
    assert not (tmp_path / "out" / "metrics.prom").exists()


def test_inputs_from_csv_and_jsonl_give_the_same_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "in.csv").write_text("n\n10\n20\n")
    (tmp_path / "in.jsonl").write_text('10\n{"n": 20}\n')
    for name in ("csv", "jsonl"):
        arguments = [f"guest.inputs_file=in.{name}", "prover=execute", "strategy=single"]
        assert run(monkeypatch, *RUN, *arguments, f"output={name}") == 0
    roots = [
        json.loads((tmp_path / name / "result.json").read_text())["root"]
        for name in ("csv", "jsonl")
    ]
    assert roots[0] == roots[1]


def test_strategies_with_fan_ins_of_powers_of_two_agree_on_the_hash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ["--multirun", "strategy=single,two_level,three_level", "guest=sha256"]
    arguments += ["strategy.fan_in=balanced"]
    assert run(monkeypatch, *arguments, *RUN, "prover=execute", "guest.count=20", "output=o") == 0
    records = [json.loads((tmp_path / "o" / f"{i}" / "result.json").read_text()) for i in range(3)]
    assert [r["plan"]["strategy"] for r in records] == ["single", "two_level", "three_level"]
    assert len({r["root"]["combined_hash"] for r in records}) == 1
    assert all((tmp_path / "o" / f"{i}" / "metrics.prom").exists() for i in range(3))


def test_an_experiment_overrides_several_groups(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(monkeypatch, *RUN, "experiment=hash_tree", "guest.count=8", "output=o") == 0
    record = json.loads((tmp_path / "o" / "result.json").read_text())
    assert record["config"]["guest"]["name"] == "sha256"
    assert record["plan"]["strategy"] == "three_level"
    assert record["kind"] == "execute"


def test_help_is_for_newcomers(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "runner", "--help"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    for part in (
        "fibonacci, program, sha256",
        "runner.verify",
        "Exit codes",
        "max_entries: 10000",
    ):
        assert part in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_cfg_job_shows_the_settings_and_runs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "--cfg", "job", "preset=small", "prover=execute") == 0
    assert "workers: 8" in capfd.readouterr().out
    assert list(tmp_path.iterdir()) == []
