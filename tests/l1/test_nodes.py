"""Nodes that do not do what a node should, and what the engine makes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from runner.errors import L1Error
from runner.evm.chain import Chain
from runner.evm.rpc import Rpc
from runner.l1.submission import State

if TYPE_CHECKING:
    from tests.l1.benches import Bench


class Forgetful(Rpc):
    """A load balancer in front of nodes of which every other is behind the chain."""

    calls = 0

    def call(self, method: str, *parameters: object) -> Any:  # noqa: ANN401
        found = super().call(method, *parameters)
        if method not in {"eth_getTransactionReceipt", "eth_getTransactionByHash"}:
            return found
        self.calls += 1
        return None if self.calls % 2 else found


class Flaky(Rpc):
    """A node that does not answer every seventeenth call."""

    calls = 0

    def call(self, method: str, *parameters: object) -> Any:  # noqa: ANN401
        self.calls += 1
        if self.calls % 17 == 0:
            raise L1Error("unreachable", f"the node did not answer {method}")
        return super().call(method, *parameters)


@pytest.mark.parametrize("kind", [Forgetful, Flaky])
def test_a_node_that_forgets_or_fails_now_and_then_doubles_nothing(
    bench: Bench, kind: type[Rpc]
) -> None:
    node, chain = bench.node, Chain(kind(bench.node.url))
    node.automine(False)
    tracked = bench.submit(*[node.mine] * 40, chain=chain, confirmations=2, spare=True)
    assert tracked.state in {State.CONFIRMED, State.FINALIZED}
    assert len(bench.store.attempts(bench.submission())) == 1
    assert "reorged" not in bench.told.states
    assert bench.events() == 1


def test_a_node_that_is_down_ends_the_attempt_in_time(bench: Bench) -> None:
    with pytest.raises(L1Error, match="did not answer") as caught:
        bench.submit(chain=Chain(Rpc("http://127.0.0.1:9", 1.0)), timeout_s=0.0)
    assert caught.value.reason == "unreachable"
    assert bench.submit().state is State.CONFIRMED
