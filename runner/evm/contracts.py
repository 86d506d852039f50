"""The project's contracts as they are compiled, and whether a contract on a chain is one of them.

The code at an address is the compiled code, but for what the constructor has written into it. Each
of the project's contracts keeps one address there, in one or several places. A constructor writes
the same into all of them. Code that anybody deploys by hand may have another in each place, so all
are compared, and the address is read from the code and not asked for.
"""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING, Any

from runner.errors import L1Error
from runner.evm.faults import Fault
from runner.files import SHIPPED

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "OPENVM_VERIFIER",
    "REGISTRY",
    "call_of",
    "decoded",
    "deployment_of",
    "kept_address",
    "selector",
    "spoken",
]

REGISTRY = "BatchRegistry"
OPENVM_VERIFIER = "OpenVmVerifier"

_OTHERS = (
    "VerificationFailed()",
    "SelectorMismatch(bytes4,bytes4)",
    "SelectorUnknown(bytes4)",
    "SelectorRemoved(bytes4)",
    "EnforcedPause()",
    "ProofVerificationFailed()",
    "InvalidPublicValuesLength(uint256,uint256)",
    "InvalidProofDataLength(uint256,uint256)",
    "InvalidAppExeCommit(bytes32)",
    "InvalidAppVmCommit(bytes32)",
    "Panic(uint256)",
)
"""The errors of RISC Zero's verifiers, of their router and emergency stop, and of OpenVM's."""


def kept_address(name: str, code: bytes) -> str | None:
    """The address that a contract keeps, if its code is the compiled one.

    Args:
        name: the contract's name.
        code: the code at its address on the chain.

    Returns:
        The address, or None if the code is that of another contract.
    """
    compiled = _artifact(name)
    spans = [slice(start, start + length) for start, length in compiled["immutables"]]
    wanted, bare = bytes.fromhex(compiled["runtime"]), bytearray(code)
    if len(code) != len(wanted):
        return None
    words = {code[span] for span in spans}
    for span in spans:
        bare[span] = wanted[span]
    if bytes(bare) != wanted or len(words) != 1:
        return None
    word = words.pop()
    return f"0x{word[-20:].hex()}" if not any(word[:-20]) else None


def deployment_of(name: str, address: str) -> bytes:
    """The code that deploys a contract which keeps an address."""
    from runner.evm.libraries import encode

    return bytes.fromhex(_artifact(name)["bytecode"]) + bytes(encode(["address"], [address]))


def selector(signature: str) -> bytes:
    """The four bytes by which a function or an error is called."""
    from runner.evm.libraries import keccak

    return bytes(keccak(text=signature)[:4])


def call_of(signature: str, values: Sequence[object]) -> bytes:
    """A call of a function whose arguments are no tuples."""
    from runner.evm.libraries import encode

    types = signature.partition("(")[2].removesuffix(")").split(",")
    return selector(signature) + bytes(encode(types, values))


def decoded(types: Sequence[str], data: bytes) -> tuple[Any, ...]:
    """What a contract answered.

    Raises:
        L1Error: it is not of these types.
    """
    from runner.evm.libraries import decode

    try:
        return tuple(decode(types, data))
    except Exception as error:  # noqa: BLE001  # the library raises whatever its parsers raise
        name = type(error).__name__
        raise L1Error(Fault.WRONG_CONTRACT.value, f"the contract answered badly ({name})") from None


def spoken(error: L1Error) -> str:
    """What a contract said when it reverted, in words."""
    data = bytes.fromhex(error.revert.removeprefix("0x"))
    if data[:4] == selector("Error(string)"):
        try:
            return str(decoded(["string"], data[4:])[0])[:200]
        except L1Error:
            return "an error that cannot be read"
    named = [
        _signature(row)
        for contract in (REGISTRY, OPENVM_VERIFIER)
        for row in _artifact(contract)["abi"]
        if row["type"] == "error"
    ]
    known = next((name for name in (*named, *_OTHERS) if data[:4] == selector(name)), None)
    return known or error.message


@cache
def _artifact(name: str) -> dict[str, Any]:
    path = SHIPPED / "contracts" / f"{name}.json"
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def _signature(row: dict[str, Any]) -> str:
    return f"{row['name']}({','.join(one['type'] for one in row['inputs'])})"
