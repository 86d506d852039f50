"""What is decided about the workers of a cluster, without a cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runner.engines.dask_fleet import Fleet, differences
from runner.engines.engine import Host
from tests.engines.cases import until

if TYPE_CHECKING:
    from collections.abc import Callable


class TestFleet:
    """What is decided about workers, without a cluster."""

    class Client:
        """A client of a scheduler that knows what a test says."""

        def __init__(self) -> None:
            self.workers: dict[str, dict[str, object]] = {}
            self.dropped: list[str] = []
            self.scheduler = self

        def identity(self, n_workers: int) -> dict[str, object]:
            assert n_workers == -1
            return {"workers": dict(self.workers)}

        def run(self, fn: object, *args: object, workers: list[str], on_error: str) -> object:
            found = {"host": "h", "cores": "8"} if "examine" in str(fn) else ()
            return dict.fromkeys(workers, found)

        def unregister(self, address: str, stimulus_id: str) -> None:
            self.dropped.append(address)

        def sync(self, fn: Callable[..., object], **named: object) -> object:
            return fn(**named)

        def add(self, address: str, host: str, threads: int, **resources: float) -> None:
            self.workers[address] = {
                "host": host,
                "nthreads": threads,
                "last_seen": 0.0,
                "resources": resources,
            }

    def fleet(self, clock: list[float], **resources: float) -> Fleet:
        return Fleet(
            run="run",
            badge="badge",
            requirements=None,
            timeout_s=None,
            resources=resources,
            lost_s=10.0,
            clock=lambda: clock[0],
        )

    def test_all_workers_on_one_machine_share_its_cores(self) -> None:
        client, fleet = self.Client(), self.fleet([0.0])
        client.add("tcp://a:1", "a", 1)
        client.add("tcp://a:2", "a", 2)
        client.add("tcp://b:1", "b", 1)
        fleet.look(client)
        until(lambda: not fleet.pending())
        assert fleet.hosts() == [Host("a", 8, 3), Host("b", 8, 1)]
        del client.workers["tcp://a:2"]
        fleet.look(client)
        assert fleet.changed()
        assert fleet.hosts() == [Host("a", 8, 1), Host("b", 8, 1)]

    def test_a_worker_without_a_sign_of_life_is_dropped(self) -> None:
        clock = [0.0]
        client, fleet = self.Client(), self.fleet(clock)
        client.add("tcp://a:1", "a", 1)
        client.add("tcp://b:1", "b", 1)
        fleet.look(client)
        for moment in range(1, 13):
            clock[0] = float(moment)
            client.workers["tcp://b:1"]["last_seen"] = float(moment)
            fleet.look(client)
        assert set(client.dropped) == {"tcp://a:1"}

    def test_resources_bound_the_slots(self) -> None:
        client, fleet = self.Client(), self.fleet([0.0], GPU=2)
        client.add("tcp://a:1", "a", 8, GPU=5)
        client.add("tcp://b:1", "b", 8)
        fleet.look(client)
        until(lambda: not fleet.pending())
        assert fleet.hosts() == [Host("a", 8, 2)]
        assert fleet.refusals() == [
            "tcp://b:1 it has not the resources that each job asks for (GPU=2)"
        ]

    def test_differences_are_named(self) -> None:
        assert differences({"a": "1", "b": "2"}, {"a": "1", "b": "3", "c": "4"}) == (
            "its b is 3, the runner's is 2"
        )
        assert differences({"a": "1"}, {}) == "its a is unknown, the runner's is 1"
