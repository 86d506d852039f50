"""One rule for every setting that is a path: a home folder may be written as ``~``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from runner.cli import config
from runner.cli.paths import PATHS, expand
from runner.errors import InputError
from runner.model import flat
from tests.cli.configs import choices, composed
from tests.cli.test_config import GROUPS
from tests.command import RUN, run

NO_PATHS = {
    *("aggregate", "guest.codec"),
    *("guest.inputs_format", "guest.name", "guest.journal", "strategy.name", "strategy.fan_in"),
    *("prover.adapter", "prover.kind", "prover.segment_memory", "prover.segment_po2"),
    *("executor.workers", "executor.on_failure"),
    *(
        "executor.engine._target_",
        "executor.engine.address",
        "executor.engine.pool._target_",
        "cache._target_",
        "store.url",
    ),
    *("metrics.pushgateway.url", "metrics.pushgateway.job"),
    *("progress", "log_level", "log_format", "l1.mode", "l1.url", "l1.url_env", "l1.registry"),
    *("l1.verifier", "l1.verifier_code_sha256", "l1.key_env", "l1.signer_url"),
    *("l1.signer_url_env", "l1.sender"),
}
"""The other settings that take a text. A new one belongs here or into :data:`PATHS`."""

NO_TEXTS = {
    *("guest.input", "guest.encode", "guest.work"),
    "guest.assumptions",  # its folders are paths, and its reader follows the rule for them
    *("guest.inputs", "guest.count", "guest.default_count", "metrics.pushgateway.grouping"),
    *("prover.gpus", "prover.gpu_proofs", "store.options", "executor.engine.resources"),
    "executor.engine.tls",  # its files are paths, and the engine follows the rule for them
}
"""The settings without a value whose type says nothing, and that take no text."""


@pytest.mark.usefixtures("hydra")
def test_every_setting_that_takes_a_text_is_a_path_or_known_to_be_none() -> None:
    found: set[str] = set()
    for group in GROUPS:
        for choice in choices(group):
            conf = composed(f"{group}={choice}")
            for name in flat(OmegaConf.to_container(conf, resolve=True)):
                if name.startswith(("guest.fields", "guest.default_fields", "guest.series")):
                    continue  # these are in the guests' own files
                value = OmegaConf.select(conf, name)
                if isinstance(value, str) or (value is None and name not in NO_TEXTS):
                    found.add(name)
    numbers = {
        "executor.timeout_s",
        "executor.max_cycles",
        "guest.max_cycles",
        "l1.chain_id",
        "l1.max_fee_gwei",
        "l1.max_cost_eth",
    }
    numbers |= {f"l1.{name}_s" for name in ("bump_after", "timeout", "poll", "rpc_timeout")}
    numbers |= {"l1.confirmations"}
    assert found - numbers == NO_PATHS | set(PATHS)


@pytest.mark.usefixtures("hydra")
@pytest.mark.parametrize("field", PATHS)
def test_a_home_folder_is_known_in_every_path(
    field: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    if field == "output":
        full = composed(f"{field}='~/x'")
        assert str(OmegaConf.select(full, field)) == "~/x"
        return  # Hydra makes this folder: see the test of a whole run below
    there = str(tmp_path / "some where")
    if field.startswith("l1."):
        found = config.l1_settings(composed("l1=rpc", f"{field}='~/some where'"))
        assert found is not None
        keys = {"l1.keystore": found.key.keystore, "l1.password_file": found.key.password_file}
        assert str({**keys, "l1.state": found.state}[field]) == there
        return
    made = config.settings(composed(f"{field}='~/some where'"), Path("unused"))
    places = {
        "guests": (made.guests, made.prover.guests),
        "guest.elf": (made.elf,),
        "guest.inputs_file": (made.inputs_file,),
        "metrics.textfile": (made.metrics.textfile,),
        "metrics.ledger": (made.metrics.ledger,),
        "audit.file": (made.audit,),
        "cache.folder": (getattr(made.cache, "folder", None),),
    }
    assert [str(place) for place in places[field]] == [there] * len(places[field])


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize("multirun", [False, True])
def test_a_run_makes_no_folder_called_tilde(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, multirun: bool
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "in.csv").write_text("n\n10\n20\n")
    monkeypatch.setenv("HOME", str(home))
    own = {"guests", "guest.elf", "guest.inputs_file", "metrics.textfile"}
    given = [f"{field}='~/{field}'" for field in PATHS if field not in own]
    given += ["guest.inputs_file='~/in.csv'", "metrics.textfile='~/a.prom'"]
    assert run(monkeypatch, *["--multirun"] * multirun, *RUN, "prover=execute", *given) == 0
    output = home / "output" / "0" if multirun else home / "output"
    assert json.loads((output / "result.json").read_text())["status"] == "ok"
    assert {path.name for path in tmp_path.iterdir()} == {"home"}
    assert {"a.prom", "metrics.ledger", "audit.file"} <= {p.name for p in home.iterdir()}


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize("field", PATHS)
def test_a_home_folder_that_is_not_known_is_one_line(
    field: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, *RUN, "prover=execute", f"{field}='~nobody-here/x'") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {field} = '~nobody-here/x': this home folder is not known; ")
    assert not list(Path.cwd().glob("~*"))


def test_only_the_start_of_a_path_stands_for_a_home_folder() -> None:
    assert expand("output", "./~a") == "./~a"
    assert expand("output", "a/~/b") == "a/~/b"
    with pytest.raises(InputError, match="not known"):
        expand("output", "~nobody-here")
