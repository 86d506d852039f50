"""A contract that relies on the unsafe test reference string: only local chains may have it."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

import pytest

from runner.errors import L1Error
from runner.evm.contracts import OPENVM_VERIFIER, deployment_of
from runner.evm.node import CHAIN_ID
from runner.evm.openvm import UNSAFE, relies_on_unsafe_reference
from runner.evm.registry import check_verifier, refuse_unsafe, warning_of
from tests.evm import openvm

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.chains import TestChain

PUBLIC_CHAIN = 11_155_111
CODE = bytes(1) + openvm.UNSAFE_POINT
JUDGE = "0x" + "a1" * 20


@pytest.fixture
def leading(chain: TestChain) -> Iterator[str]:
    """What leads a registry to such a contract. A test may give the chain another id."""
    chain.rpc.call("anvil_setCode", JUDGE, f"0x{CODE.hex()}")
    contract = chain.done(None, deployment_of(OPENVM_VERIFIER, JUDGE)).contract
    assert contract is not None
    yield contract
    chain.rpc.call("anvil_setChainId", CHAIN_ID)


def test_it_is_refused_on_a_chain_that_is_not_local(chain: TestChain, leading: str) -> None:
    digest = sha256(CODE).hexdigest()
    for verifier in (JUDGE, leading):
        check_verifier(chain.chain, verifier, digest)
        assert warning_of(chain.chain, verifier) == UNSAFE
    refuse_unsafe(chain.chain, JUDGE, CODE)
    chain.rpc.call("anvil_setChainId", PUBLIC_CHAIN)
    for verifier in (JUDGE, leading):
        with pytest.raises(L1Error, match=r"unsafe test reference string.*is not local") as caught:
            check_verifier(chain.chain, verifier, digest)
        assert caught.value.reason == "wrong_contract"
    with pytest.raises(L1Error, match="chain 11155111 is not local"):
        refuse_unsafe(chain.chain, JUDGE, CODE)
    refuse_unsafe(chain.chain, JUDGE, bytes(100))


def test_openvms_own_contract_does_not_rely_on_it() -> None:
    assert relies_on_unsafe_reference(CODE)
    assert not relies_on_unsafe_reference(openvm.code())
