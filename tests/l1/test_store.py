"""The store, the fees and the settings, without a chain."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.errors import InputError, L1Error
from runner.evm.transaction import GWEI
from runner.files import SHIPPED
from runner.l1.fees import Fees, bumped, suggested
from runner.l1.gas import Before, costs
from runner.l1.settings import from_mapping, load
from runner.l1.store import locked_store
from runner.l1.submission import Attempt, State
from tests.l1.benches import commitment

if TYPE_CHECKING:
    from pathlib import Path

SAID = commitment("0x" + "11" * 20, 1)
ATTEMPT = Attempt("0xaa", 7, b"raw", 2**70, 2**65, 5.0)
wei = st.integers(0, 2**80)


def test_what_was_noted_is_there_after_a_restart(tmp_path: Path) -> None:
    with locked_store(tmp_path, 0.0) as store:
        added = store.add(SAID, 1.0)
        store.add_attempt(SAID, ATTEMPT)
        store.note_sent(ATTEMPT, 6.0)
        store.note_sent(ATTEMPT, 9.0)  # the first time counts
        store.note_before(SAID, Before(2**70, 8, 8, "words"))
        done = replace(added, state=State.CONFIRMED, price=2**70, mined="0xaa", others=True)
        store.update(done)
    with locked_store(tmp_path, 0.0) as store:
        assert store.find(SAID) == done
        assert store.all() == [done]
        assert store.attempts(SAID) == [replace(ATTEMPT, sent=6.0)]
        assert store.before(SAID) == Before(2**70, 8, 8, "words")
        store.close_nonce(7)
        assert [one.closed for one in store.attempts(SAID)] == [True]
        assert store.add(SAID, 99.0) == done


def test_an_event_is_counted_once(tmp_path: Path) -> None:
    with locked_store(tmp_path, 0.0) as store:
        assert store.uncounted(["a", "b"]) == ["a", "b"]
        store.note_counted("a")
        store.note_counted("a")
        assert store.uncounted(["a", "b"]) == ["b"]


def test_a_store_of_a_later_version_is_left_alone(tmp_path: Path) -> None:
    with locked_store(tmp_path, 0.0) as store:
        store._database.execute("PRAGMA user_version = 99")
    with pytest.raises(L1Error, match="format 99"), locked_store(tmp_path, 0.0):
        pass


@given(base=wei, tip=wei, cap=wei)
def test_no_fee_is_above_the_cap(base: int, tip: int, cap: int) -> None:
    if base > cap:
        with pytest.raises(L1Error):
            suggested(base, tip, cap)
        return
    fees = suggested(base, tip, cap)
    assert base <= fees.max_fee <= cap
    assert fees.tip <= fees.max_fee or fees.tip <= cap


@given(old=wei, tip=wei, now=wei, cap=wei)
def test_a_bump_is_a_tenth_at_least_or_none(old: int, tip: int, now: int, cap: int) -> None:
    before = Fees(old, min(tip, old))
    fees = bumped(before, Fees(now, min(tip, now)), cap)
    if fees is None:
        assert cap * 10 < old * 11
        return
    assert fees.max_fee <= cap
    assert fees.max_fee * 10 >= old * 11
    assert fees.tip <= fees.max_fee


def test_costs_are_arithmetic() -> None:
    found = costs(50_000, 2 * GWEI, Before(400_000, 8, 8, "words"), 700_000)
    assert found.measured_savings_percent == 87.5
    assert found.break_even_batches == 2.0
    assert found.fee_wei == 100_000 * GWEI
    assert found.scenarios[1] == {"gwei": 1.0, "after_eth": 5e-05, "before_eth": 0.0004}
    worse = costs(50_000, GWEI, Before(40_000, 1, 1, "words"), 700_000)
    assert worse.measured_savings_percent == -25.0
    assert worse.break_even_batches is None
    assert costs(50_000, GWEI, None, None).gas_before is None


@pytest.mark.parametrize("name", ["local", "rpc"])
def test_the_shipped_settings_can_be_used(name: str) -> None:
    found = load(name, ["max_fee_gwei=0.1", "registry=0x" + "12" * 20, "l1.confirmations=3"])
    assert found.mode == name
    assert found.limits.max_fee == GWEI // 10
    assert found.limits.confirmations == 3
    assert found.registry == "0x" + "12" * 20
    assert {path.stem for path in (SHIPPED / "conf" / "l1").glob("*.yaml")} == {
        *("local", "off", "rpc")
    }


def test_off_is_no_l1(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no L1"):
        load("off", [])
    with pytest.raises(InputError, match="cannot be read"):
        load(str(tmp_path / "missing.yaml"), [])
    (tmp_path / "list.yaml").write_text("- 1\n")
    with pytest.raises(InputError, match="has no settings"):
        load(str(tmp_path / "list.yaml"), [])
    assert from_mapping({"mode": None, "url": "http://x.example"}) is None
