"""What answers in place of a node is refused, in time, and no key in an address is ever shown."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

import pytest

from runner.errors import InputError, L1Error
from runner.evm.chain import Chain
from runner.evm.faults import Fault, classify
from runner.evm.rpc import Rpc, check_url, redacted, to_bytes, to_int
from tests.evm.servers import fake_node, result

if TYPE_CHECKING:
    from collections.abc import Callable

SECRET = "s3cretapikey0123"


def always(status: int, body: bytes) -> Callable[[dict[str, Any]], tuple[int, bytes]]:
    """What answers the same to everything."""
    return lambda _: (status, body)


@pytest.mark.parametrize(
    ("status", "body", "why"),
    [
        (200, b"<html>welcome</html>", "not JSON"),
        (502, b"<html>bad gateway</html>", "HTTP 502"),
        (200, b"", "not JSON"),
        (200, b"[]", "not JSON"),
        (200, b"{}", "not JSON-RPC"),
        (200, b'{"id":1,"result":1,"result":2}', "not JSON"),
        (429, b"slow down", "HTTP 429"),
        (200, b'{"id":999,"result":"0x1"}', "another call"),
    ],
)
def test_what_is_no_json_rpc_is_unreachable(status: int, body: bytes, why: str) -> None:
    told: list[Fault] = []
    with fake_node(lambda _: (status, body)) as url, pytest.raises(L1Error) as caught:
        Rpc(url, failed=told.append).call("eth_chainId")
    assert caught.value.reason == "unreachable"
    assert why in str(caught.value)
    assert told == [Fault.UNREACHABLE]


def test_a_node_that_is_down_is_unreachable() -> None:
    with pytest.raises(L1Error, match="did not answer eth_chainId") as caught:
        Rpc("http://127.0.0.1:9").call("eth_chainId")
    assert caught.value.reason == "unreachable"


def test_a_node_that_does_not_answer_costs_its_time_and_no_more() -> None:
    done = threading.Event()

    def wait(asked: dict[str, Any]) -> tuple[int, bytes]:
        done.wait(30)
        return result(asked, "0x1")

    with fake_node(wait) as url:
        with pytest.raises(L1Error, match=r"no answer within|timed out") as caught:
            Rpc(url, 0.1).call("eth_chainId")
        done.set()
    assert caught.value.reason == "unreachable"


def test_a_redirect_is_not_followed() -> None:
    with fake_node(lambda asked: result(asked, "0x1")) as other:
        header = ("Location", other)
        with fake_node(lambda _: (302, b""), header) as url, pytest.raises(L1Error, match="302"):
            Rpc(url).call("eth_chainId")


def test_an_answer_is_read_up_to_a_bound() -> None:
    body = b'{"id":1,"result":"' + b"x" * (17 << 20) + b'"}'
    with fake_node(lambda _: (200, body)) as url, pytest.raises(L1Error, match="exceeds"):
        Rpc(url).call("eth_chainId")


def test_an_error_keeps_its_words_and_what_the_contract_said() -> None:
    error = {"code": 3, "message": "execution reverted", "data": "0x08c379a0"}
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "error": error}).encode()
    for status in (200, 400):  # some nodes say it by the status, too
        with fake_node(always(status, body)) as url, pytest.raises(L1Error) as caught:
            Rpc(url).call("eth_call")
        assert (caught.value.reason, caught.value.revert) == ("reverted", "0x08c379a0")


def test_no_key_in_an_address_is_shown() -> None:
    body = {"error": {"code": -32000, "message": f"invalid project {SECRET}"}, "id": 1}
    with fake_node(lambda _: (200, json.dumps(body).encode())) as url:
        for address in (f"{url}/v3/{SECRET}", f"{url}/?key={SECRET}"):
            with pytest.raises(L1Error) as caught:
                Rpc(address).call("eth_chainId")
            assert SECRET not in str(caught.value)
            assert url in str(caught.value)
    with pytest.raises(L1Error) as caught:
        Rpc(f"http://user:{SECRET}@127.0.0.1:9/{SECRET}").call("eth_chainId")
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        f"https://mainnet.example/v3/{SECRET}",
        f"https://x.example/?key={SECRET}",
        f"https://user:{SECRET}@x.example",
        f"https://x.example/#{SECRET}",
        f"ftp://x.example/{SECRET}",
        f"{SECRET}",
        "http://",
        "http://x.example:99999",
    ],
)
def test_an_address_with_more_than_a_host_is_refused_in_settings(url: str) -> None:
    with pytest.raises(InputError) as caught:
        check_url("l1.url", url, secret=False)
    assert SECRET not in str(caught.value)


def test_an_address_with_a_key_is_taken_from_the_environment() -> None:
    check_url("l1.url", f"https://mainnet.example/v3/{SECRET}", secret=True)
    check_url("l1.url", "http://127.0.0.1:8545/", secret=False)
    assert redacted("http://[::1]:1/x") == "http://::1:1"


@pytest.mark.parametrize("value", [None, 1, "1", "0x", "0x01", "0xg", "-0x1", "0x" + "f" * 65, []])
def test_what_is_no_quantity_is_refused(value: object) -> None:
    with pytest.raises(L1Error):
        to_int(value)


@pytest.mark.parametrize("value", [None, 1, "", "0x1", "0xzz", "ff", []])
def test_what_are_no_bytes_is_refused(value: object) -> None:
    with pytest.raises(L1Error):
        to_bytes(value)
    with pytest.raises(L1Error):
        to_bytes("0x00", 32)


def test_answers_of_other_shapes_are_refused() -> None:
    shapes: tuple[object, ...] = ({}, "0x", 7, {"number": "0x1"}, {"status": "0x1"})
    found: list[object] = [None]
    with fake_node(lambda asked: result(asked, found[0])) as url:
        chain = Chain(Rpc(url))
        for found[0] in shapes:
            for ask in (chain.head, chain.genesis, chain.tip, chain.chain_id):
                with pytest.raises(L1Error):
                    ask()
            with pytest.raises(L1Error):
                chain.mined("0x")
            with pytest.raises(L1Error):
                chain.logs("0x", [], 0, 0)


@pytest.mark.parametrize(
    ("code", "words", "fault"),
    [
        (-32000, "transaction indexing is in progress", Fault.UNREACHABLE),
        (-32003, "invalid chain id for signer", Fault.WRONG_CHAIN),
        (-32000, "invalid sender: invalid chain id for signer: have 1 want 2", Fault.WRONG_CHAIN),
        (-32003, "Insufficient funds for gas * price + value", Fault.NO_FUNDS),
        (-32000, "insufficient funds for gas * price + value: balance 0", Fault.NO_FUNDS),
        (-32003, "nonce too low", Fault.NONCE_USED),
        (-32000, "nonce too low: next nonce 5, tx nonce 4", Fault.NONCE_USED),
        (-32010, "OldNonce, Current nonce: 5, nonce of rejected tx: 4", Fault.NONCE_USED),
        (-32003, "transaction already imported", Fault.KNOWN),
        (-32000, "already known", Fault.KNOWN),
        (-32010, "AlreadyKnown", Fault.KNOWN),
        (-32000, "Known transaction", Fault.KNOWN),
        (-32000, "replacement transaction underpriced", Fault.UNDERPRICED),
        (-32010, "ReplacementNotAllowed", Fault.UNDERPRICED),
        (-32003, "max fee per gas less than block base fee", Fault.BELOW_BASE_FEE),
        (-32000, "transaction underpriced: gas tip cap 0", Fault.BELOW_BASE_FEE),
        (-32010, "FeeTooLow, MaxFeePerGas too low", Fault.BELOW_BASE_FEE),
        (3, "execution reverted", Fault.REVERTED),
        (-32000, "execution reverted: no", Fault.REVERTED),
        (-32005, "daily request count exceeded", Fault.UNREACHABLE),
        (-32601, "the method does not exist", Fault.REFUSED),
    ],
)
def test_the_words_of_clients_have_one_class(code: int, words: str, fault: Fault) -> None:
    assert classify(code, words) is fault
