"""Who signs: a key in a keystore or in the environment, or a remote signer.

A key is never in a setting, in a log or in an argument of a process. Settings name where it is.
"""

from __future__ import annotations

import json
import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from runner.errors import InputError, L1Error
from runner.evm.faults import Fault
from runner.evm.rpc import Rpc, check_url, to_bytes
from runner.evm.transaction import read_signed
from runner.untrusted import parse_json, read_regular

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from runner.evm.transaction import Signed, Transaction

__all__ = ["DEV_KEY", "LOCAL_CHAINS", "KeySettings", "Signer", "open_signer"]

LOCAL_CHAINS = frozenset({1337, 31337})
"""The chain ids that development nodes use and no public chain has (geth, and anvil or hardhat)."""

DEV_KEY = bytes.fromhex("ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80")
"""The first account of every development node (BIP-39 ``test test ... junk``). Everybody has it."""

_MNEMONIC_ACCOUNTS = frozenset(
    f"0x{digits}"
    for digits in (
        "f39fd6e51aad88f6f4ce6ab8827279cfffb92266",
        "70997970c51812dc3a010c7d01b50e0d17dc79c8",
        "3c44cdddb6a900fa2b585dd299e03d12fa4293bc",
        "90f79bf6eb2c4f870365e785982e1f101e93b906",
        "15d34aaf54267db7d7c367839aaf71a00a2c6a65",
        "9965507d1a55bcc2695c58ba16fb37d819b0a4dc",
        "976ea74026e726554db657fa54763abd0c3a0aa9",
        "14dc79964da2c08b23698b3d3cc7ca32193d9955",
        "23618e81e3f5cdf7f54c3d65f7fbc0abf5b21e8f",
        "a0ee7a142d267c1f36714e4a8f75612f20a79720",
    )
)
"""The ten accounts that development nodes fund. Whatever is sent to them elsewhere is stolen."""

_MOST_KEY_BYTES = 64 << 10


class Signer(Protocol):
    """Somebody who signs for one address."""

    @property
    def address(self) -> str:
        """The address, with its checksum."""
        ...

    def sign(self, transaction: Transaction) -> Signed:
        """Sign a transaction.

        Raises:
            L1Error: the signer refused, did not answer, or signed something else.
        """
        ...


@dataclass(frozen=True, slots=True)
class KeySettings:
    """Where the key is. One of the first three ways is given.

    Attributes:
        key_env: the name of an environment variable that holds the key as 64 hex digits.
        keystore: a keystore file (Web3 Secret Storage, version 3).
        password_file: the file with the keystore's password, which only its owner may read.
        signer_url: the address of a remote signer: Web3Signer (``eth_signTransaction``) or clef
            (``account_signTransaction``).
        signer_url_env: the name of an environment variable that holds that address.
        sender: the address that the remote signer signs for.
    """

    key_env: str | None = None
    keystore: Path | None = None
    password_file: Path | None = None
    signer_url: str | None = None
    signer_url_env: str | None = None
    sender: str | None = None


def open_signer(settings: KeySettings, chain_id: int, env: Mapping[str, str]) -> Signer:
    """The signer that the settings name.

    Args:
        settings: where the key is.
        chain_id: the chain that will be signed for.
        env: the environment variables.

    Raises:
        InputError: none or several are named, the key cannot be read, others can read the
            password, or a key that everybody has is to be used on a chain that is not local.
    """
    remote = settings.signer_url or settings.signer_url_env
    given = [bool(settings.key_env), settings.keystore is not None, bool(remote)]
    if sum(given) != 1:
        problem = "no key is named" if not any(given) else "several keys are named"
        raise InputError(
            "l1.key", None, problem, "give one of key_env, keystore, signer_url or signer_url_env"
        )
    if remote:
        signer: Signer = _remote(settings, env)
    elif settings.keystore is not None:
        signer = LocalKey(_from_keystore(settings.keystore, settings.password_file))
    else:
        signer = LocalKey(_from_env(settings.key_env or "", env))
    if signer.address.lower() in _MNEMONIC_ACCOUNTS and chain_id not in LOCAL_CHAINS:
        raise InputError(
            "l1.key",
            signer.address,
            f"everybody has the key of this development account, and chain {chain_id} is not local",
            "use a key of your own",
        )
    return signer


class LocalKey:
    """A key in this process's memory.

    Args:
        key: its 32 bytes.

    Raises:
        ValueError: they are no key.
    """

    def __init__(self, key: bytes) -> None:
        from runner.evm.libraries import Account

        self._account = Account.from_key(key)

    @property
    def address(self) -> str:
        """The address, with its checksum."""
        return str(self._account.address)

    def sign(self, transaction: Transaction) -> Signed:
        """Sign a transaction."""
        raw = bytes(self._account.sign_transaction(transaction.fields()).raw_transaction)
        return read_signed(raw, self.address)


class RemoteSigner:
    """A signer in another process, which keeps its key to itself.

    Args:
        rpc: the signer.
        address: the address that it is to sign for, with its checksum.
    """

    def __init__(self, rpc: Rpc, address: str) -> None:
        self._rpc = rpc
        self._address = address

    @property
    def address(self) -> str:
        """The address, with its checksum."""
        return self._address

    def sign(self, transaction: Transaction) -> Signed:
        """Have a transaction signed, and make sure that it is this one and no other.

        Raises:
            L1Error: the signer refused, did not answer, or signed something else.
        """
        hexed: dict[str, Any] = {
            name: value if isinstance(value, str) else hex(value)
            for name, value in transaction.fields().items()
            if name != "data"
        }
        asked = {"from": self._address, **hexed, "data": f"0x{transaction.data.hex()}"}
        try:
            found = self._rpc.call("eth_signTransaction", asked)
        except L1Error as error:
            if error.reason != Fault.REFUSED.value:
                raise
            found = self._rpc.call("account_signTransaction", asked)
        if isinstance(found, dict):  # clef and geth return the transaction beside its bytes
            found = found.get("raw")
        signed = read_signed(to_bytes(found), self._address)
        if signed.transaction != transaction:
            raise L1Error(Fault.SIGNER.value, f"{self._rpc.name} signed another transaction")
        return signed


def _remote(settings: KeySettings, env: Mapping[str, str]) -> RemoteSigner:
    from runner.evm.libraries import is_address, to_checksum_address

    url = settings.signer_url
    if settings.signer_url_env:
        url = _variable("l1.signer_url_env", settings.signer_url_env, env)
    check_url("l1.signer_url", url or "", secret=bool(settings.signer_url_env))
    if not settings.sender or not is_address(settings.sender):
        remedy = "give the address that the remote signer is to sign for"
        raise InputError("l1.sender", settings.sender, "not an address", remedy)
    return RemoteSigner(Rpc(url or ""), to_checksum_address(settings.sender))


def _from_env(name: str, env: Mapping[str, str]) -> bytes:
    text = _variable("l1.key_env", name, env)
    try:
        key = bytes.fromhex(text.strip().removeprefix("0x"))
        LocalKey(key)
    except Exception:  # noqa: BLE001  # whatever is wrong with it, the value must not be shown
        problem, remedy = "its value is no key", "set it to the key's 64 hex digits"
        raise InputError("l1.key_env", name, problem, remedy) from None
    return key


def _variable(field: str, name: str, env: Mapping[str, str]) -> str:
    if not env.get(name):
        # A user who gave the secret itself in place of a name must not find it in a log.
        shown = name if name.isidentifier() and len(name) <= 64 else "(not shown)"
        raise InputError(field, shown, "no environment variable of this name is set", "set it")
    return env[name]


def _from_keystore(path: Path, password_file: Path | None) -> bytes:
    if password_file is None:
        raise InputError("l1.password_file", None, "missing", "name the keystore's password file")
    password = _secret("l1.password_file", password_file)
    try:
        keystore = parse_json(read_regular(path, _MOST_KEY_BYTES, follow=True))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise InputError(
            "l1.keystore", str(path), f"cannot be read ({reason})", "check it"
        ) from None
    from runner.evm.libraries import Account

    try:
        return bytes(Account.decrypt(json.dumps(keystore), password))
    except Exception as error:  # noqa: BLE001  # the library raises whatever its parsers raise
        why = "the password is another" if "MAC" in str(error) else type(error).__name__
        problem = f"cannot be opened ({why})"
        raise InputError("l1.keystore", str(path), problem, "check it and its password") from None


def _secret(field: str, path: Path) -> str:
    """The first line of a file that only its owner may read."""
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116  # of the file, also behind a link
        if stat.S_IMODE(mode) & 0o077:
            problem = f"others may read it (mode {stat.S_IMODE(mode):03o})"
            raise InputError(field, str(path), problem, f"chmod 600 {path}")
        text = read_regular(path, _MOST_KEY_BYTES, follow=True).decode()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not text"
        raise InputError(field, str(path), f"cannot be read ({reason})", "check it") from None
    return text.split("\n", 1)[0]
