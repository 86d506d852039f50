"""Keys: where they may be, who may not read them, and what a signer may not do."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from runner.errors import InputError, L1Error
from runner.evm.keys import DEV_KEY, KeySettings, LocalKey, open_signer
from runner.evm.libraries import Account, to_checksum_address
from runner.evm.node import CHAIN_ID
from runner.evm.transaction import Transaction, read_signed
from tests.chains import SECOND_KEY, TestChain
from tests.evm.servers import fake_node, result

if TYPE_CHECKING:
    from pathlib import Path

KEY = bytes(range(1, 33))
PUBLIC_CHAIN = 11_155_111
CONTRACT, OTHER = (to_checksum_address("0x" + digits * 20) for digits in ("a1", "b2"))
CALL = Transaction(CHAIN_ID, 0, CONTRACT, b"\x01\x02", 60_000, 3_000_000_000, 1_000_000_000)


@pytest.fixture
def keystore(tmp_path: Path) -> KeySettings:
    path, password = tmp_path / "key.json", tmp_path / "password"
    path.write_text(json.dumps(Account.encrypt(KEY, "open sesame", kdf="pbkdf2", iterations=2)))
    password.write_text("open sesame\n")
    password.chmod(0o600)
    return KeySettings(keystore=path, password_file=password)


def test_a_key_comes_from_a_variable_or_from_a_keystore(keystore: KeySettings) -> None:
    env = {"L1_KEY": f"0x{KEY.hex()}"}
    address = LocalKey(KEY).address
    assert open_signer(KeySettings(key_env="L1_KEY"), PUBLIC_CHAIN, env).address == address
    assert open_signer(keystore, PUBLIC_CHAIN, {}).address == address


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660])
def test_a_password_that_others_can_read_is_refused(keystore: KeySettings, mode: int) -> None:
    assert keystore.password_file is not None
    keystore.password_file.chmod(mode)
    with pytest.raises(InputError, match="others may read it"):
        open_signer(keystore, PUBLIC_CHAIN, {})


def test_a_keystore_that_does_not_open_says_why_and_shows_nothing(
    keystore: KeySettings, tmp_path: Path
) -> None:
    assert keystore.password_file is not None
    assert keystore.keystore is not None
    keystore.password_file.write_text("wrong")
    with pytest.raises(InputError, match="the password is another") as caught:
        open_signer(keystore, PUBLIC_CHAIN, {})
    assert "wrong" not in str(caught.value)
    keystore.keystore.write_text("{}")
    with pytest.raises(InputError, match="cannot be opened"):
        open_signer(keystore, PUBLIC_CHAIN, {})
    keystore.keystore.write_text("no json")
    with pytest.raises(InputError, match="cannot be read"):
        open_signer(keystore, PUBLIC_CHAIN, {})
    with pytest.raises(InputError, match="password_file"):
        open_signer(KeySettings(keystore=tmp_path / "key.json"), PUBLIC_CHAIN, {})


@pytest.mark.parametrize("value", ["", "12", "x" * 64, "0" * 64, "f" * 64])
def test_a_variable_without_a_key_is_refused_without_its_value(value: str) -> None:
    with pytest.raises(InputError) as caught:
        open_signer(KeySettings(key_env="L1_KEY"), PUBLIC_CHAIN, {"L1_KEY": value})
    assert not value or value not in str(caught.value)


def test_a_key_in_place_of_a_variables_name_is_not_shown() -> None:
    with pytest.raises(InputError) as caught:
        open_signer(KeySettings(key_env=KEY.hex()), PUBLIC_CHAIN, {})
    assert KEY.hex() not in str(caught.value)


def test_exactly_one_way_is_given(keystore: KeySettings) -> None:
    with pytest.raises(InputError, match="no key"):
        open_signer(KeySettings(), PUBLIC_CHAIN, {})
    both = KeySettings("L1_KEY", keystore.keystore, keystore.password_file)
    with pytest.raises(InputError, match="several"):
        open_signer(both, PUBLIC_CHAIN, {"L1_KEY": KEY.hex()})


@pytest.mark.parametrize("key", [DEV_KEY, SECOND_KEY])
def test_development_keys_work_on_local_chains_only(key: bytes) -> None:
    env = {"L1_KEY": key.hex()}
    for chain_id in (1337, 31337):
        open_signer(KeySettings(key_env="L1_KEY"), chain_id, env)
    for chain_id in (1, 10, PUBLIC_CHAIN):
        with pytest.raises(InputError, match="everybody has the key"):
            open_signer(KeySettings(key_env="L1_KEY"), chain_id, env)


def test_all_accounts_of_the_development_mnemonic_are_known(chain: TestChain) -> None:
    for address in chain.rpc.call("eth_accounts"):
        settings = KeySettings(signer_url=chain.url, sender=address)
        with pytest.raises(InputError, match="everybody has the key"):
            open_signer(settings, 1, {})


def test_a_remote_signer_signs_on_a_real_node(chain: TestChain) -> None:
    """A development node signs for its own accounts by the call that Web3Signer has, too."""
    address = LocalKey(DEV_KEY).address
    signer = open_signer(KeySettings(signer_url=chain.url, sender=address), CHAIN_ID, {})
    signed = signer.sign(CALL)
    assert signed.transaction == CALL
    assert signed == LocalKey(DEV_KEY).sign(CALL)


def clef(raw: bytes) -> Any:  # noqa: ANN401
    """A signer with clef's call alone, which returns the transaction beside its bytes."""

    def answer(asked: dict[str, Any]) -> tuple[int, bytes]:
        if asked["method"] != "account_signTransaction":
            error = {"code": -32601, "message": "the method does not exist"}
            return 200, json.dumps({"id": asked["id"], "error": error}).encode()
        return result(asked, {"raw": f"0x{raw.hex()}", "tx": {}})

    return answer


def test_clef_is_asked_by_its_own_call() -> None:
    key = LocalKey(KEY)
    with fake_node(clef(key.sign(CALL).raw)) as url:
        settings = KeySettings(signer_url=url, sender=key.address)
        assert open_signer(settings, PUBLIC_CHAIN, {}).sign(CALL) == key.sign(CALL)


def test_a_signer_that_signs_something_else_is_refused() -> None:
    key, other = LocalKey(KEY), LocalKey(SECOND_KEY)
    wrong = [
        replace(CALL, nonce=1),
        replace(CALL, data=b"\x03"),
        replace(CALL, max_fee=CALL.max_fee + 1),
        replace(CALL, to=OTHER),
        replace(CALL, chain_id=1),
    ]
    raws = [key.sign(one).raw for one in wrong] + [other.sign(CALL).raw, b"", b"\x02junk"]
    for raw in raws:
        with fake_node(clef(raw)) as url:
            signer = open_signer(KeySettings(signer_url=url, sender=key.address), PUBLIC_CHAIN, {})
            with pytest.raises(L1Error) as caught:
                signer.sign(CALL)
        assert caught.value.reason == "signer"


def test_ether_is_never_sent_along() -> None:
    fields = CALL.fields() | {"value": 1}
    raw = bytes(Account.sign_transaction(fields, KEY).raw_transaction)
    with pytest.raises(L1Error, match="other parts"):
        read_signed(raw, LocalKey(KEY).address)


def test_a_signers_address_with_a_key_is_taken_from_the_environment() -> None:
    address = LocalKey(KEY).address
    with pytest.raises(InputError, match="may be a key"):
        open_signer(KeySettings(signer_url="http://x.example/s3cret", sender=address), 1, {})
    env = {"SIGNER": "http://x.example/s3cret"}
    open_signer(KeySettings(signer_url_env="SIGNER", sender=address), 1, env)
    with pytest.raises(InputError, match="not an address"):
        open_signer(KeySettings(signer_url="http://x.example", sender="me"), 1, {})


def test_the_password_file_may_be_a_link(keystore: KeySettings, tmp_path: Path) -> None:
    link = tmp_path / "link"
    assert keystore.password_file is not None
    link.symlink_to(keystore.password_file)
    open_signer(KeySettings(keystore=keystore.keystore, password_file=link), 1, {})
