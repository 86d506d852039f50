"""Unknown settings are refused however they come in, and mistakes are named with a remedy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from runner.cli.unknown import nearest
from tests.command import RUN, run

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("elsewhere")

EXECUTE = [*RUN, "prover=execute", "cache=off", "log_level=warning", "output=o"]

OVERRIDES = [
    ("+guest.cuont=3", "guest.cuont = 3: no such setting", "is guest.count;"),
    ("++executor.worker=1", "executor.worker = 1: no such setting", "is executor.workers;"),
    ("+nonsense=1", "nonsense = 1: no such setting", "--cfg job"),
    ("+worker=1", "worker = 1: no such setting", "is executor.workers;"),
    ("+guest.series.n.modullo=3", "guest.series.n.modullo = 3", "is guest.series.n.modulo;"),
    ("++guest.fields.0.mx=3", "guest.fields[0].mx = 3", "is guest.fields[0].max;"),
    ("+metrics.pushgateway.timeout=3", "metrics.pushgateway.timeout = 3", "timeout_s;"),
    ("+hydra.run.dri=x", "hydra.run.dri = 'x'", "is hydra.run.dir;"),
    ("guest.cuont=3", "guest.cuont = '3': no such setting", "is guest.count;"),
    ("prover.segment=15", "prover.segment = '15': no such setting", "is prover.segment_po2;"),
    ("count=3", "count = '3': no such setting", "is guest.count;"),
    ("presset=small", "presset = 'small': no such setting", "is preset;"),
]


@pytest.mark.parametrize("case", OVERRIDES, ids=[case[0] for case in OVERRIDES])
def test_an_unknown_override_is_refused_with_the_nearest_name(
    case: tuple[str, str, str], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    override, fault, remedy = case
    assert run(monkeypatch, *EXECUTE, override) == 2
    assert_one_line(capfd, fault, remedy)


FILES = [
    ("experiment", "guest: {cuont: 3}", "guest.cuont is no such setting", "is guest.count;"),
    ("experiment", "nonsense: 3", "nonsense is no such setting", "--cfg job"),
    ("preset", "executor: {worker: 3}", "executor.worker is no such", "is executor.workers;"),
    ("experiment", "defaults: [override /gest: sha256]", "gest is no such", "is guest;"),
    (
        "experiment",
        "retry: {attempts: many}",
        "retry.attempts: Value 'many' of type 'str' could not be converted to Integer",
        "experiment/own.yaml",
    ),
    ("experiment", "retry: 3", "retry: Merge error", "experiment/own.yaml"),
    ("experiment", "[a]", "Cannot merge DictConfig with ListConfig", "experiment/own.yaml"),
]


@pytest.mark.parametrize("case", FILES, ids=[case[1] for case in FILES])
def test_a_mistake_in_a_file_is_told_with_the_file_the_setting_and_a_remedy(
    case: tuple[str, str, str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    group, text, fault, remedy = case
    own(tmp_path, f"{group}/own.yaml", f"# @package _global_\n{text}\n")
    assert run(monkeypatch, "--config-dir=own", *EXECUTE, f"{group}=own") == 2
    assert_one_line(capfd, f"{group} = 'own': {fault}", remedy)


def test_an_unknown_setting_in_a_choice_of_a_folder_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    own(tmp_path, "guest/own.yaml", "defaults: [fibonacci]\ndefault_cuont: 3\n")
    assert run(monkeypatch, "--config-dir=own", *EXECUTE, "guest=own") == 2
    fault = "guest = 'own': guest.default_cuont is no such setting"
    assert_one_line(capfd, fault, "is guest.default_count;")


def test_an_unknown_setting_ends_a_sweep_before_it_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "--multirun", *EXECUTE, "guest.count=1,2", "+retry.atempts=1") == 2
    assert_one_line(capfd, "retry.atempts = 1: no such setting", "is retry.attempts;")
    assert not (tmp_path / "o").exists()


def test_a_file_without_the_package_line_is_told_what_it_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    own(tmp_path, "experiment/own.yaml", "guest: {count: 3}\n")
    assert run(monkeypatch, "--config-dir=own", *EXECUTE, "experiment=own") == 2
    assert_one_line(capfd, "experiment = 'own'", "`# @package _global_`")


def test_settings_that_their_owner_checks_stay_open(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, *EXECUTE, "+metrics.pushgateway.grouping.instance=a") == 0
    capfd.readouterr()
    assert run(monkeypatch, *EXECUTE, "+prover.segmnt=3") == 2
    assert_one_line(capfd, "prover.segmnt = 3: risc0 has no such setting", "segment_po2")


def test_nothing_near_is_named_where_nothing_is_near() -> None:
    assert nearest("retry.zzz", ["attempts"]) == "see --cfg job for all settings"


# -- what Hydra says of files and quotes ----------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("retry:\n  attempts: [1\n", "own.yaml:4': not readable as YAML (expected ',' or ']'"),
        ("guest:\n  count: 3\n  count: 4\n", "own.yaml:4': not readable as YAML (found dup"),
        ("guest:\n\tcount: 3\n", "own.yaml:3': not readable as YAML (found character"),
    ],
)
def test_a_file_that_is_not_yaml_is_named_with_the_line(
    text: str,
    problem: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    own(tmp_path, "experiment/own.yaml", f"# @package _global_\n{text}")
    assert run(monkeypatch, "--config-dir=own", *EXECUTE, "experiment=own") == 2
    assert_one_line(capfd, problem, "correct this line")


QUOTES = [
    ("output=a=b", "command line = 'output=a=b': cannot be read", "e.g. 'output=\"a=b\"'"),
    ("guest.inputs_file=a,b", "guest.inputs_file = 'a,b'", "quote the value: key="),
    ("guest.count=1,2", "guest.count = '1,2'", "add --multirun"),
    ("guest.inputs=[1", "command line = 'guest.inputs=[1'", "special characters\n"),
    ("guest.count=${nope.x}", "guest.count", "'nope.x' not found"),
]


@pytest.mark.parametrize("case", QUOTES, ids=[case[0] for case in QUOTES])
def test_a_mistake_in_quoting_is_told_with_what_to_type(
    case: tuple[str, str, str], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    override, fault, remedy = case
    assert run(monkeypatch, *EXECUTE, override) == 2
    assert_one_line(capfd, fault, remedy)


def test_the_quotes_that_are_proposed_work(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(monkeypatch, *EXECUTE, 'output="a=b"') == 0


def own(folder: Path, name: str, text: str) -> None:
    file = folder / "own" / name
    file.parent.mkdir(parents=True)
    file.write_text(text)


def assert_one_line(capfd: pytest.CaptureFixture[str], fault: str, remedy: str) -> None:
    out, err = capfd.readouterr()
    assert out == ""
    assert err.count("\n") == 1, err
    assert err.startswith("error: ")
    assert fault in err
    assert remedy in err
