"""A clock that is told the time."""

from __future__ import annotations


class FakeClock:
    """Monotonic seconds that pass only when a test says so.

    Attributes:
        now: The current time.
        slept: The waits that were asked for, in order.
    """

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds

    def sleep(self, seconds: float) -> None:
        """Let the time pass at once."""
        self.slept.append(seconds)
        self.now += seconds
