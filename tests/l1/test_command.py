"""``python -m runner.l1``, and runs with ``l1=``, on real nodes with batches of the fake prover."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import TYPE_CHECKING
from unittest.mock import Mock

import pytest

from runner.audit.__main__ import main as audit
from runner.audit.log import read_log
from runner.batch.run import run as run_batch
from runner.evm.keys import DEV_KEY
from runner.evm.openvm import UNSAFE, EvmProof
from runner.evm.registry import Registry
from runner.folder import LEAVES
from runner.inclusion import main as inclusion
from runner.l1.__main__ import main
from runner.l1.batch import read_batch
from runner.l1.store import Store
from runner.model import ReceiptKind
from runner.verify.__main__ import main as verify
from tests import builders
from tests.command import run
from tests.evm import openvm
from tests.fakes.prover import ADAPTER
from tests.l1.benches import fake_run

if TYPE_CHECKING:
    from pathlib import Path

    from tests.chains import TestChain
    from tests.fakes.behaviours import Behaviours

SECRET = "s3cretpath0123456"


class Place:
    """A batch, and what every command about it is told."""

    def __init__(self, chain: TestChain, folder: Path, guests: Path, state: Path) -> None:
        self.chain = chain
        self.folder = folder
        self.options = ["--guests", str(guests), "--adapter", ADAPTER]
        self.settings = [
            *(f"url={chain.url}", "chain_id=31337", "key_env=TEST_L1_KEY", "confirmations=1"),
            *("timeout_s=20", "poll_s=0.02", f"state={state}", "max_cost_eth=1"),
        ]
        self.registry = ""

    def __call__(self, command: str, *more: str) -> int:
        options = [] if command == "deploy" else [str(self.folder), *self.options]
        registry = [f"registry={self.registry}"] if self.registry else []
        return main([command, *options, *self.settings, *registry, *more])

    def events(self, key: str) -> int:
        registry = Registry(self.chain.chain, self.registry)
        head = self.chain.chain.head().number
        return sum(
            len(registry.event(bytes.fromhex(key), verified=False, block=block))
            for block in range(head + 1)
        )


@pytest.fixture
def place(
    chain: TestChain,
    tmp_path: Path,
    guests: Path,
    behaviours: Behaviours,
    monkeypatch: pytest.MonkeyPatch,
) -> Place:
    monkeypatch.setenv("TEST_L1_KEY", DEV_KEY.hex())
    settings = builders.batch_settings(
        tmp_path / "batch", guests, count=8, audit=tmp_path / "batch" / "audit.jsonl"
    )
    run_batch(settings)
    place = Place(chain, tmp_path / "batch", guests, tmp_path / "state")
    place.registry = chain.registry().address
    return place


def record(place: Place) -> dict[str, object]:
    found: dict[str, object] = json.loads((place.folder / "l1.json").read_text())
    return found


def test_a_batch_is_submitted_asked_about_and_found(
    place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert place("verify") == 1
    assert "NOT VERIFIED: L1" in capsys.readouterr().err
    assert place("status") == 1
    textfile = tmp_path / "runner.prom"
    for _ in range(3):  # the second and the third find it done
        assert place("submit", "--textfile", str(textfile)) == 0
    out = capsys.readouterr().out
    assert "commitment only, not verified on chain" in out
    assert "87.5 % measured" in out
    assert place("status") == 0
    assert place("verify") == 0
    assert "COMMITMENT ONLY, NOT VERIFIED ON CHAIN: key" in capsys.readouterr().out
    found = record(place)
    assert place.events(str(found["key"])) == 1
    costs = found["costs"]
    assert isinstance(costs, dict)
    assert 40_000 < costs["gas_after"] < 60_000
    assert costs["gas_before"] == pytest.approx(8 * costs["gas_after"], rel=0.05)
    assert "no leaf was sent" in costs["before"]
    assert found["chain"] == {
        "id": 31337,
        "local": False,
        "client": "anvil/v1.7.1",
        "fork": "Osaka",
        "genesis": place.chain.chain.genesis(),
    }
    lines = textfile.read_text().splitlines()
    assert f"l2_l1_submission_gas_used {float(costs['gas_after'])}" in lines
    assert "l2_l1_submissions_total 1.0" in lines
    assert 'l2_l1_batches{state="confirmed"} 1.0' in lines
    (ratio,) = (line for line in lines if line.startswith("l2_l1_measured_gas_savings_ratio "))
    assert float(ratio.split()[1]) == pytest.approx(0.875, abs=0.01)
    assert not any(line.startswith("l2_l1_failures_total{") for line in lines)


def test_gas_is_counted_once_by_a_process_that_dies_before_it_notes_that(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    textfile = tmp_path / "runner.prom"
    with monkeypatch.context() as dying:
        dying.setattr(Store, "note_counted", Mock(side_effect=RuntimeError("killed")))
        for _ in range(2):
            with pytest.raises(RuntimeError, match="killed"):
                place("submit", "--textfile", str(textfile))
    assert place("submit", "--textfile", str(textfile)) == 0
    lines = textfile.read_text().splitlines()
    assert "l2_l1_submissions_total 1.0" in lines
    assert "l2_l1_confirmation_seconds_count 1.0" in lines


def test_the_audit_log_holds_with_what_came_after_the_run(place: Place) -> None:
    assert place("submit") == 0
    events = [line.fields for line in read_log(place.folder / "audit.jsonl")]
    states = [event["state"] for event in events if event["event"] == "l1_state"]
    assert states == ["sent", "confirmed"]
    assert events[-1]["what"] == "commitment only, not verified on chain"
    assert audit([str(place.folder)]) == 0
    assert verify([str(place.folder), *place.options]) == 0


def test_a_link_in_the_place_of_the_audit_log_is_not_written_through(
    place: Place, tmp_path: Path
) -> None:
    log, other = place.folder / "audit.jsonl", tmp_path / "other"
    other.write_bytes(log.read_bytes())
    log.unlink()
    log.symlink_to(other)
    before = other.read_bytes()
    assert place("submit") == 0
    assert other.read_bytes() == before


@pytest.mark.parametrize(
    ("changes", "code", "said"),
    [
        (["chain_id=1"], 1, "is of chain 31337, l1.chain_id is 1"),
        (["url=http://127.0.0.1:9"], 1, "did not answer eth_chainId"),
        (["registry=0x" + "cc" * 20], 1, "there is no contract at"),
        (["max_fee_gwei=0.001", "timeout_s=0.01"], 1, "l1.max_fee_gwei allows"),
        (["max_cost_eth=0.0000001"], 1, "l1.max_cost_eth allows"),
        (["key_env=NO_SUCH_VARIABLE"], 2, "no environment variable"),
        ([f"url=http://127.0.0.1:9/{SECRET}"], 2, "may be a key"),
        (["url_env=TEST_L1_KEY"], 2, "both url and url_env"),
        (["confirmations=0"], 2, "not a whole number above 0"),
        (["timeout_s=soon"], 2, "not a number above 0"),
        (["registry=0x12"], 2, "not an address"),
        (["nosuch=1"], 2, "no such setting"),
        (["nosuch"], 2, "not NAME=VALUE"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_sends_nothing(
    place: Place,
    capsys: pytest.CaptureFixture[str],
    changes: list[str],
    code: int,
    said: str,
) -> None:
    before = place.chain.chain.nonce(place.chain.key.address)
    capsys.readouterr()
    assert place("submit", "--json", *changes) == code
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1
    assert SECRET not in err
    assert place.chain.chain.nonce(place.chain.key.address) == before


def test_a_folder_that_proves_nothing_is_not_submitted(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    leaves = place.folder / LEAVES
    leaves.write_text(leaves.read_text().replace("leaf-3", "leaf-9"))
    assert place("submit") == 1
    assert "NOT VERIFIED" in capsys.readouterr().err
    assert not (place.folder / "l1.json").exists()


@pytest.mark.parametrize(
    ("strategy", "kind", "said"),
    [("none", ReceiptKind.COMPOSITE, "no root"), ("single", ReceiptKind.EXECUTE, "executed only")],
)
def test_what_has_no_proved_root_is_refused(
    *,
    place: Place,
    guests: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    strategy: str,
    kind: ReceiptKind,
    said: str,
) -> None:
    place.folder = tmp_path / "other"
    settings = builders.batch_settings(
        place.folder, guests, strategy=builders.strategy(strategy), prover=builders.prover(kind)
    )
    run_batch(settings)
    assert place("submit") != 0
    assert said in capsys.readouterr().err


def test_a_registry_is_deployed_once(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    place.registry = ""
    for _ in range(2):
        assert place("deploy", "--json") == 0
    first, second = (json.loads(line) for line in capsys.readouterr().out.splitlines()[-2:])
    assert first == second
    place.registry = first["registry"]
    assert place("submit") == 0
    costs = record(place)["costs"]
    assert isinstance(costs, dict)
    assert costs["deployment_gas"] == first["gas"]
    assert costs["break_even_batches"] == pytest.approx(
        first["gas"] / (costs["gas_before"] - costs["gas_after"])
    )


def test_no_key_is_left_anywhere(
    place: Place,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("TEST_L1_URL", f"{place.chain.url}/?key={SECRET}")
    place.settings[0] = "url_env=TEST_L1_URL"
    assert place("submit", "--textfile", str(tmp_path / "runner.prom")) == 0
    said = capsys.readouterr()
    # A development node itself shows everybody its accounts' keys.
    files = [path for path in tmp_path.rglob("*") if path.is_file() and path.name != "node.log"]
    left = b"".join(path.read_bytes() for path in files)
    for text in (said.out.encode(), said.err.encode(), left):
        for secret in (SECRET.encode(), DEV_KEY.hex().encode(), DEV_KEY):
            assert secret not in text


def test_a_groth16_root_is_committed_to_where_the_registry_verifies_nothing(
    place: Place, guests: Path, tmp_path: Path
) -> None:
    place.folder = tmp_path / "groth16"
    prover = builders.prover(ReceiptKind.GROTH16)
    run_batch(builders.batch_settings(place.folder, guests, prover=prover))
    assert place("submit") == 0
    assert record(place)["what"] == "commitment only, not verified on chain"


def test_a_groth16_root_is_verified_by_the_verifier_whose_code_is_pinned(
    place: Place, guests: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The verifier here is a contract that accepts everything, as the proof is a fake."""
    accepting = "0x" + "a1" * 20
    place.chain.rpc.call("anvil_setCode", accepting, "0x00")
    place.registry = place.chain.registry(accepting).address
    place.folder = tmp_path / "groth16"
    prover = builders.prover(ReceiptKind.GROTH16)
    run_batch(builders.batch_settings(place.folder, guests, prover=prover))
    assert place("submit") == 2
    assert "verifier_code_sha256" in capsys.readouterr().err
    assert place("submit", f"verifier_code_sha256={'0' * 64}") == 1
    assert "wrong_contract" in capsys.readouterr().err
    pinned = "verifier_code_sha256=6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    assert place("submit", pinned) == 0
    assert record(place)["what"] == "verified on chain"
    assert place("verify") == 0
    assert "VERIFIED ON CHAIN by" in capsys.readouterr().out


def evm_proof(path: Path, **changes: str) -> Path:
    """OpenVM's official proof with other values, so that it is a true one of nothing."""
    value = json.loads(openvm.proof_path().read_text())
    path.write_text(json.dumps(value | changes))
    return path


def test_a_wrapped_proof_of_another_program_or_root_is_refused_before_any_node_is_asked(
    place: Place,
    guests: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = evm_proof(tmp_path / "evm.proof")
    place.settings[0] = "url=http://127.0.0.1:9"
    assert place("submit", "--evm-proof", str(path)) == 2
    assert "of the program" in capsys.readouterr().err
    batch = read_batch(place.folder, adapter=ADAPTER, guests=guests)
    image_id = batch.root.self_image_id
    monkeypatch.setattr(EvmProof, "image_id", lambda _: image_id)
    assert place("submit", "--evm-proof", str(path)) == 2
    assert "public values" in capsys.readouterr().err
    assert place("submit", "--evm-proof", str(place.folder / "result.json")) == 2
    assert "EvmProof of OpenVM v2.0" in capsys.readouterr().err


def test_a_wrapped_proof_goes_to_the_verifier_that_the_registry_asks(
    place: Place,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The batch is a fake prover's, and so is the program's name in the wrapped proof.

    OpenVM's true verifier must therefore refuse it, and one that accepts everything must not.
    """
    assert place("submit", "--json") == 0
    said = json.loads(capsys.readouterr().out)
    image_id = bytes.fromhex(said["root"]["image_id"])
    monkeypatch.setattr(EvmProof, "image_id", lambda _: image_id)
    path = evm_proof(tmp_path / "evm.proof", user_public_values=f"0x{said['key']}")
    wrapped = ("--evm-proof", str(path))

    own = place.chain.done(None, openvm.code()).contract
    place.registry = ""
    assert place("deploy", "--json", "--openvm-verifier", str(own)) == 0
    place.registry = json.loads(capsys.readouterr().out)["registry"]
    pinned = f"verifier_code_sha256={openvm.runtime_sha256()}"
    assert place("submit", *wrapped) == 2
    assert "verifier_code_sha256" in capsys.readouterr().err
    assert place("submit", pinned, *wrapped) == 1
    assert "WrongProgram" in capsys.readouterr().out
    assert record(place)["state"] == "failed"
    assert record(place)["verifier_warning"] is None

    accepting, code = "0x" + "a1" * 20, bytes(1) + openvm.UNSAFE_POINT
    place.chain.rpc.call("anvil_setCode", accepting, f"0x{code.hex()}")
    place.registry = place.chain.registry(accepting).address
    pinned = f"verifier_code_sha256={sha256(code).hexdigest()}"
    capsys.readouterr()
    assert place("submit", pinned, *wrapped) == 0
    assert record(place)["what"] == "verified on chain"
    assert record(place)["verifier_warning"] == UNSAFE
    assert f"verified on chain ({UNSAFE})" in capsys.readouterr().out
    assert place("status", pinned, *wrapped) == 0
    assert place("verify", pinned) == 0
    assert f"VERIFIED ON CHAIN by {accepting} ({UNSAFE})" in capsys.readouterr().out


def test_a_router_of_another_address_or_code_is_refused_before_anything_is_signed(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    router, other = "0x" + "a1" * 20, "0x" + "b2" * 20
    for address, code in ((router, "0x00"), (other, "0x5f5ffd")):
        place.chain.rpc.call("anvil_setCode", address, code)
    good = sha256(bytes(1)).hexdigest()
    place.registry = place.chain.registry(other).address
    before = place.chain.chain.nonce(place.chain.key.address)
    assert place("submit", f"verifier={router}") == 1
    assert f"not the {router} of l1.verifier" in capsys.readouterr().err
    place.registry = ""
    # The right address with other code, as where somebody deployed something else.
    digest = f"verifier_code_sha256={'0' * 64}"
    assert place("deploy", f"verifier={router}", digest) == 1
    assert "l1.verifier_code_sha256" in capsys.readouterr().err
    assert place("deploy", f"verifier={router}", "--verifier", other) == 1
    assert f"not the {router} of l1.verifier" in capsys.readouterr().err
    assert place.chain.chain.nonce(place.chain.key.address) == before

    pinned = [f"verifier={router}", f"verifier_code_sha256={good}"]
    assert place("deploy", "--json", *pinned) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["verifier"].lower() == router
    place.registry = said["registry"]
    assert place("submit", *pinned) == 0
    place.chain.rpc.call("anvil_setCode", router, "0x5f5ffd")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--openvm-verifier", "0x12"], "not an address"),
        (["--verifier", "me"], "not an address"),
        (["--openvm-verifier", f"0x{'ab' * 20}"], "no contract at"),
        (["--openvm-verifier", f"0x{'ab' * 20}", "--verifier", f"0x{'cd' * 20}"], "two verifiers"),
    ],
)
def test_a_verifier_that_is_none_is_not_deployed_for(
    place: Place, capsys: pytest.CaptureFixture[str], options: list[str], said: str
) -> None:
    before = place.chain.chain.nonce(place.chain.key.address)
    place.registry = ""
    assert place("deploy", *options) != 0
    assert said in capsys.readouterr().err
    assert place.chain.chain.nonce(place.chain.key.address) == before


def test_a_forged_proof_is_found_by_a_call_and_nothing_is_sent(
    place: Place, guests: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    refusing = "0x" + "b2" * 20
    place.chain.rpc.call("anvil_setCode", refusing, "0x5f5ffd")
    place.registry = place.chain.registry(refusing).address
    place.folder = tmp_path / "groth16"
    prover = builders.prover(ReceiptKind.GROTH16)
    run_batch(builders.batch_settings(place.folder, guests, prover=prover))
    before = place.chain.chain.nonce(place.chain.key.address)
    digest = f"verifier_code_sha256={sha256(bytes.fromhex('5f5ffd')).hexdigest()}"
    assert place("submit", digest) == 1
    assert "the contract would refuse it" in capsys.readouterr().out
    assert record(place)["state"] == "failed"
    assert place.chain.chain.nonce(place.chain.key.address) == before


def test_the_arguments_for_the_contract_find_a_leaf_included(
    place: Place, tmp_path: Path, guests: Path
) -> None:
    proof, call = tmp_path / "proof.json", tmp_path / "call.json"
    assert verify([str(place.folder), *place.options, "--leaf", "5", "--out", str(proof)]) == 0
    receipt = str(place.folder / "root.receipt")
    options = [str(proof), "--receipt", receipt, *place.options, "--calldata", str(call)]
    assert inclusion(options) == 0
    said = json.loads(call.read_text())
    data = bytes.fromhex(said["calldata"][2:])
    assert place.chain.chain.call(place.registry, data) == bytes(31) + b"\x01"
    data = data[:-1] + bytes([data[-1] ^ 1])
    assert place.chain.chain.call(place.registry, data) == bytes(32)


# -- runs ------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("elsewhere", "behaviours", "chain")
def test_a_run_leaves_its_root_on_a_chain_of_its_own(
    guests: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert run(monkeypatch, *fake_run(guests, "l1=local")) == 0
    out = capfd.readouterr().out
    assert "commitment only, not verified on chain" in out
    assert "87.5 % measured" in out
    found = json.loads((tmp_path / "out" / "l1.json").read_text())
    assert (found["state"], found["chain"]["local"]) == ("confirmed", True)
    assert "l2_l1_submissions_total 1.0" in (tmp_path / "out" / "metrics.prom").read_text()
    assert run(monkeypatch, *fake_run(guests, "output=json", "l1=local", "log_format=json")) == 0
    lines = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert [line["event"] for line in lines] == ["batch_finished", "l1_finished"]


@pytest.mark.usefixtures("elsewhere", "behaviours")
def test_a_run_fails_for_the_l1_only_where_it_is_required(
    guests: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("TEST_L1_KEY", DEV_KEY.hex())
    where = ["url=http://127.0.0.1:9", "chain_id=31337", "key_env=TEST_L1_KEY"]
    l1 = ["l1=rpc", *(f"l1.{one}" for one in where), f"l1.registry='0x{'ab' * 20}'"]
    assert run(monkeypatch, *fake_run(guests, *l1)) == 0
    err = capfd.readouterr().err
    assert "the root is not on the L1" in err
    assert run(monkeypatch, *fake_run(guests, "output=required", *l1, "l1.required=true")) == 1
    assert "did not answer" in capfd.readouterr().err
    for folder in ("out", "required"):
        text = (tmp_path / folder / "metrics.prom").read_text()
        assert 'l2_l1_failures_total{reason="unreachable"} 1.0' in text
        assert 'l2_l1_rpc_errors_total{reason="unreachable"} 1.0' in text
        assert (tmp_path / folder / "root.receipt").exists()


@pytest.mark.usefixtures("elsewhere", "behaviours")
@pytest.mark.parametrize(
    ("l1", "said"),
    [
        (["l1=local", "prover=execute"], "prover=execute proves nothing"),
        (["l1=rpc"], "no node is named"),
        (["l1=rpc", "l1.url=http://127.0.0.1:9"], "l1.registry"),
        (["l1=rpc", f"l1.url=http://127.0.0.1:9/{SECRET}"], "may be a key"),
        (["l1.mode=mars"], "l1.mode"),
    ],
)
def test_bad_settings_are_refused_before_any_proof(
    *,
    guests: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    l1: list[str],
    said: str,
) -> None:
    # A later choice of the prover is the one that counts.
    kind = [one for one in l1 if one.startswith("prover=")]
    arguments = [one for one in fake_run(guests, *l1) if not (kind and one == "prover=composite")]
    assert run(monkeypatch, *arguments) == 2
    err = capfd.readouterr().err
    assert said in err
    assert SECRET not in err
    assert not list(tmp_path.rglob("*.receipt"))
