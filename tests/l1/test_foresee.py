"""What a dry run says of the root on an L1, on real nodes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from runner.evm.keys import DEV_KEY
from runner.evm.registry import commit_call
from runner.l1.foresee import foresee
from runner.l1.settings import from_mapping
from runner.model import ReceiptKind
from runner.plan.journal import AggregationResult
from tests.command import run
from tests.l1.benches import IMAGE, fake_run

if TYPE_CHECKING:
    from pathlib import Path

    from runner.l1.foresee import Foreseen
    from tests.chains import TestChain

ENV = {"TEST_L1_KEY": DEV_KEY.hex()}


def foreseen(
    chain: TestChain, registry: str, kind: ReceiptKind = ReceiptKind.SUCCINCT, **more: object
) -> Foreseen:
    where = {"mode": "rpc", "url": chain.url, "chain_id": 31337, "registry": registry}
    settings = from_mapping(where | {"key_env": "TEST_L1_KEY"} | more)
    assert settings is not None
    return foresee(settings, kind, 8, root=True, env=ENV)


@pytest.mark.usefixtures("elsewhere", "behaviours", "chain")
def test_a_dry_run_says_what_would_be_posted_and_what_it_costs(
    guests: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert run(monkeypatch, *fake_run(guests, "output=dry", "l1=local", "dry_run=true")) == 0
    out = capfd.readouterr().out
    assert (
        "L1: the root's composite receipt would be posted: commitment only, not verified on chain\n"
    ) in out
    assert "l1.max_fee_gwei allows 100 gwei for a unit of gas" in out
    assert "chain 31337, anvil/v" in out
    said = json.loads((tmp_path / "dry" / "dry_run.json").read_text())["l1"]
    assert (said["receipt"], said["problem"]) == ("composite", "")
    assert int(said["cost_wei"]) == said["gas"] * int(said["price_wei"]) <= int(said["most_wei"])
    assert run(monkeypatch, *fake_run(guests, "l1=local")) == 0
    real = json.loads((tmp_path / "out" / "l1.json").read_text())
    # The dry run takes no byte of the root for zero, each of which saves 12 gas.
    assert 0 <= said["gas"] - real["costs"]["gas_after"] < 1000


@pytest.mark.usefixtures("elsewhere", "behaviours")
def test_a_dry_run_goes_on_without_a_root_and_without_a_node(
    guests: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("TEST_L1_KEY", DEV_KEY.hex())
    where = ["url=http://127.0.0.1:9", "chain_id=31337", "key_env=TEST_L1_KEY"]
    l1 = ["l1=rpc", *(f"l1.{one}" for one in where), f"l1.registry='0x{'ab' * 20}'"]
    assert run(monkeypatch, *fake_run(guests, *l1, "dry_run=true")) == 0
    out = capfd.readouterr().out
    assert "commitment only, not verified on chain" in out
    assert "L1: what it costs is not known" in out
    none = ["strategy=none", "output=none", "dry_run=true"]
    assert run(monkeypatch, *fake_run(guests, *l1, *none)) == 0
    assert "L1: the batch will have no root to submit\n" in capfd.readouterr().out
    found = json.loads((tmp_path / "none" / "dry_run.json").read_text())
    assert found["l1"]["name"] is None
    bad = [*fake_run(guests, "l1=rpc", "output=bad", "dry_run=true")]
    assert run(monkeypatch, *bad) == 2
    assert "no node is named" in capfd.readouterr().err


def test_nothing_reaches_the_chain(chain: TestChain, tmp_path: Path) -> None:
    registry = chain.registry()
    account, head = chain.key.address, chain.chain.head()
    before = chain.chain.balance(account), chain.chain.nonce(account, "pending")
    found = foreseen(chain, registry.address, state=str(tmp_path / "state"))
    assert found.asked is not None
    call = commit_call(AggregationResult(IMAGE, 8, bytes(31) + b"\1"))
    assert found.asked.gas >= chain.chain.estimate(registry.address, call, account)
    assert (chain.chain.balance(account), chain.chain.nonce(account, "pending")) == before
    assert chain.chain.head() == head
    assert not (tmp_path / "state").exists()


def test_a_proof_that_a_contract_will_verify_is_called_that(chain: TestChain) -> None:
    verifying = chain.registry("0x" + "ab" * 20).address
    found = foreseen(chain, verifying, ReceiptKind.GROTH16)
    lines = "\n".join(found.sentences())
    assert "the root's groth16 receipt would be posted: verified on chain" in lines
    assert "300,000 gas (the model's" in lines
    other = foreseen(chain, verifying, ReceiptKind.SUCCINCT)
    assert "commitment only, not verified on chain" in other.sentences()[0]
    without = foreseen(chain, chain.registry().address, ReceiptKind.GROTH16)
    assert "commitment only, not verified on chain" in without.sentences()[0]


def test_what_the_settings_do_not_allow_is_said(chain: TestChain) -> None:
    registry = chain.registry().address
    dear = foreseen(chain, registry, max_cost_eth=1e-9)
    assert "L1: it would not be sent now: it may cost 0.000" in dear.sentences()[-1]
    chain.rpc.call("anvil_setNextBlockBaseFeePerGas", hex(60 * 10**9))
    chain.rpc.call("evm_mine")
    capped = foreseen(chain, registry)
    assert "gwei, l1.max_fee_gwei allows 50" in capped.sentences()[-1]
    assert capped.to_json()["problem"]
    chain.rpc.call("anvil_setNextBlockBaseFeePerGas", hex(10**9))
    chain.rpc.call("evm_mine")
    chain.rpc.call("anvil_setBalance", chain.key.address, "0x1")
    poor = foreseen(chain, registry)
    assert f"{chain.key.address} has 1e-18 ETH" in poor.sentences()[-1]
