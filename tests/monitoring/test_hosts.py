"""What each machine has done is counted for a number of machines that is bounded."""

from __future__ import annotations

from runner.model import Visit
from runner.monitoring.hosts import MOST_HOSTS, OTHERS, HostShare, HostTally


def test_jobs_and_bytes_of_a_machine_add_up() -> None:
    tally = HostTally()
    tally.count(Visit("b", fetched=1, kept=2, sent=3))
    tally.count(Visit("a", sent=1))
    tally.count(Visit("b", fetched=10))
    assert tally.shares() == (HostShare("b", 2, 11, 2, 3), HostShare("a", 1, 0, 0, 1))


def test_machines_beyond_the_bound_are_one() -> None:
    tally = HostTally()
    for number in range(1000):
        tally.count(Visit(f"pod-{number:04}", sent=1))
    shares = tally.shares()
    assert len(shares) == MOST_HOSTS + 1
    assert shares[-1] == HostShare(OTHERS, 1000 - MOST_HOSTS, sent=1000 - MOST_HOSTS)
