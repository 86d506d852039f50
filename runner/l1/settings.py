"""The settings of submissions to an L1, checked. ``docs/l1.md`` explains them."""

from __future__ import annotations

import dataclasses
import math
import re
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from runner.errors import InputError
from runner.evm.keys import KeySettings
from runner.evm.rpc import check_url
from runner.evm.transaction import GWEI
from runner.files import SHIPPED, user_path

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["ADDRESS", "L1Settings", "Limits", "from_mapping", "load"]

_MODES = ("local", "rpc")
ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")
"""How addresses are written, with or without a checksum."""

_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Limits:
    """What a submission may cost, and how long it may take.

    Attributes:
        max_fee: the most that a unit of gas may cost, in wei.
        max_cost: the most that one transaction may cost, in wei.
        confirmations: the number of blocks after which a transaction counts as confirmed, its own
            block included.
        bump_after_s: the seconds after which a transaction that waits is sent with higher fees.
        timeout_s: the seconds to wait for the confirmations.
        poll_s: the seconds between two looks at the chain.
    """

    max_fee: int = 50 * GWEI
    max_cost: int = 5 * 10**16
    confirmations: int = 10
    bump_after_s: float = 48.0
    timeout_s: float = 1800.0
    poll_s: float = 4.0


@dataclass(frozen=True, slots=True)
class L1Settings:
    """Where and how roots are submitted.

    Attributes:
        mode: ``local`` for a chain of the run's own, or ``rpc``.
        required: whether a run fails whose root was not confirmed.
        url: the node's address, or None.
        url_env: the name of an environment variable with the node's address, or None.
        chain_id: the chain that the node must be of; None for a local chain.
        registry: the registry's address; None for a local chain, and to deploy one.
        verifier: the address that the registry must ask, such as RISC Zero's router; None for any.
        verifier_code_sha256: the SHA-256 of the verifier's code, for proofs verified on chain.
        key: where the key is.
        limits: what a submission may cost, and how long it may take.
        rpc_timeout_s: the seconds that one call to the node may take.
        state: the folder of the transactions that are under way, or None for the user's.
    """

    mode: str
    required: bool = False
    url: str | None = None
    url_env: str | None = None
    chain_id: int | None = None
    registry: str | None = None
    verifier: str | None = None
    verifier_code_sha256: str | None = None
    key: KeySettings = field(default_factory=KeySettings)
    limits: Limits = field(default_factory=Limits)
    rpc_timeout_s: float = 10.0
    state: Path | None = None

    @property
    def local(self) -> bool:
        """Whether the chain is the run's own."""
        return self.mode == "local"

    def address(self, env: Mapping[str, str]) -> str:
        """The node's address, which may contain a key.

        Raises:
            InputError: none is given, several are, or it cannot be used.
        """
        if bool(self.url) == bool(self.url_env):
            problem = "both url and url_env are given" if self.url else "no node is named"
            raise InputError("l1.url", None, problem, "give url or url_env")
        if self.url_env and not env.get(self.url_env):
            shown = self.url_env if self.url_env.isidentifier() else "(not shown)"
            raise InputError("l1.url_env", shown, "no such environment variable is set", "set it")
        found = env[self.url_env] if self.url_env else self.url or ""
        check_url("l1.url", found, secret=bool(self.url_env))
        return found

    def state_folder(self, env: Mapping[str, str]) -> Path:
        """The folder of the transactions that are under way."""
        return self.state or user_path(env, "RUNNER_L1", "state", "l1")


def load(given: str, changes: Sequence[str]) -> L1Settings:
    """The settings in a file, with changes.

    Args:
        given: the name of a file in ``conf/l1``, such as ``rpc``, or the path of another file.
        changes: settings that differ from the file's, as ``NAME=VALUE``.

    Raises:
        InputError: the file or a change cannot be used.
    """
    shipped = SHIPPED / "conf" / "l1" / f"{given}.yaml"
    path = shipped if "/" not in given and shipped.exists() else Path(given)
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not YAML"
        remedy = "give rpc, local, or a file like conf/l1/rpc.yaml"
        raise InputError("--l1", given, f"cannot be read ({reason})", remedy) from None
    if not isinstance(values, dict):
        raise InputError("--l1", given, "has no settings", "give a file like conf/l1/rpc.yaml")
    for change in changes:
        name, equals, text = change.partition("=")
        if not equals:
            raise InputError("setting", change, "not NAME=VALUE", "see conf/l1/rpc.yaml")
        name = name.removeprefix("l1.")
        values[name] = _value(name, text)
    found = from_mapping(values)
    if found is None:
        raise InputError("--l1", given, "has no L1", "give rpc, local, or a file with a mode")
    return found


def _value(name: str, text: str) -> object:
    """A setting's value as it stands on the command line."""
    # YAML would take digits and addresses for numbers.
    if name in _KEYS or name in _TEXTS:
        return None if text == "null" else text
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        raise InputError(f"l1.{name}", text, "not a value", "see conf/l1/rpc.yaml") from None


def from_mapping(values: Mapping[str, Any]) -> L1Settings | None:
    """Check settings as they are written; None if there is no L1.

    Args:
        values: the settings by name. A missing one has its default.

    Raises:
        InputError: a setting is unknown, or its value cannot be used.
    """
    given = {name: value for name, value in values.items() if value is not None}
    known = {*_READERS, *_KEYS, "mode"}
    for name in given.keys() - known:
        raise InputError(f"l1.{name}", values[name], "no such setting", "see conf/l1/rpc.yaml")
    mode = given.pop("mode", None)
    if mode is None:
        return None
    if mode not in _MODES:
        raise InputError("l1.mode", mode, "unknown", f"choose one of {', '.join(_MODES)}")
    read = {
        name: reader(f"l1.{name}", given[name])
        for name, reader in _READERS.items()
        if name in given
    }
    keys = {name: _text(f"l1.{name}", given[name]) for name in _KEYS if name in given}
    paths = {name: Path(keys.pop(name)) for name in ("keystore", "password_file") if name in keys}
    limits = {one.name for one in dataclasses.fields(Limits)}
    if "url" in read:
        check_url("l1.url", read["url"], secret=False)
    if "signer_url" in keys:
        check_url("l1.signer_url", keys["signer_url"], secret=False)
    renamed = {_RENAMED.get(name, name): value for name, value in read.items()}
    return L1Settings(
        mode=mode,
        key=KeySettings(**keys, **paths),  # type: ignore[arg-type]  # paths are paths, keys texts
        limits=Limits(**{name: value for name, value in renamed.items() if name in limits}),
        **{name: value for name, value in renamed.items() if name not in limits},
    )


def _text(field: str, value: object) -> str:
    if not isinstance(value, str) or not value or not value.isprintable():
        raise InputError(field, value, "not a text", "see conf/l1/rpc.yaml")
    return value


def _flag(field: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise InputError(field, value, "neither true nor false", "give one of them")
    return value


def _positive(field: str, value: object) -> float:
    if type(value) not in (int, float) or not 0 < float(value) < math.inf:  # type: ignore[arg-type]
        raise InputError(field, value, "not a number above 0", "give one")
    return float(value)  # type: ignore[arg-type]


def _whole(field: str, value: object) -> int:
    if type(value) is not int or value < 1:
        raise InputError(field, value, "not a whole number above 0", "give one")
    return value


def _wei(unit: int) -> Any:  # noqa: ANN401  # a reader like the others
    def read(field: str, value: object) -> int:
        # A float's shortest decimal form is what the user wrote.
        return int(Decimal(str(_positive(field, value))) * unit)

    return read


def _address(field: str, value: object) -> str:
    if not isinstance(value, str) or not ADDRESS.fullmatch(value):
        raise InputError(field, value, "not an address", "give 0x and 40 hex digits")
    return value


def _digest(field: str, value: object) -> str:
    if not isinstance(value, str) or not _SHA256.fullmatch(value):
        raise InputError(field, value, "not a SHA-256", "give 64 hex digits in lower case")
    return value


_KEYS = ("key_env", "keystore", "password_file", "signer_url", "signer_url_env", "sender")
_TEXTS = ("mode", "url", "url_env", "registry", "verifier", "verifier_code_sha256", "state")
_READERS: dict[str, Any] = {
    "required": _flag,
    "url": _text,
    "url_env": _text,
    "chain_id": _whole,
    "registry": _address,
    "verifier": _address,
    "verifier_code_sha256": _digest,
    "max_fee_gwei": _wei(GWEI),
    "max_cost_eth": _wei(10**18),
    "confirmations": _whole,
    "bump_after_s": _positive,
    "timeout_s": _positive,
    "poll_s": _positive,
    "rpc_timeout_s": _positive,
    "state": lambda field, value: Path(_text(field, value)),
}
"""What reads each setting, by its name."""

_RENAMED = {"max_fee_gwei": "max_fee", "max_cost_eth": "max_cost"}
