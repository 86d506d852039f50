"""A link that delays and loses packets, between two interfaces of a network namespace.

    python -m tests.engines.slow_link INTERFACE OTHER DELAY_S JITTER_S LOSS

Many kernels lack ``netem``, so that this process does what it does: it takes every frame that
arrives at one interface, and sends it out of the other one later, or not at all. Frames keep their
order in each direction.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import random
import select
import socket
import sys
import time

ALL_PROTOCOLS = 3
SOL_PACKET, PACKET_VNET_HDR = 263, 15
"""The option that keeps with each frame what the sender's kernel has left to do, e.g. checksums."""
LARGEST = 1 << 17


def interface(name: str) -> socket.socket:
    opened = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ALL_PROTOCOLS))
    opened.bind((name, ALL_PROTOCOLS))
    opened.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
    return opened


def main() -> None:
    ends = [interface(name) for name in sys.argv[1:3]]
    delay_s, jitter_s, loss = map(float, sys.argv[3:])
    numbers = itertools.count()
    last = [0.0, 0.0]
    waiting: list[tuple[float, int, socket.socket, bytes]] = []
    print("ready", flush=True)  # noqa: T201  # whoever started it waits for this
    while True:
        timeout = max(0.0, waiting[0][0] - time.monotonic()) if waiting else None
        for end in select.select(ends, [], [], timeout)[0]:
            with contextlib.suppress(OSError):  # the link is down
                frame, address = end.recvfrom(LARGEST)
                if address[2] == socket.PACKET_OUTGOING or random.random() < loss:
                    continue
                way = ends.index(end)
                due = time.monotonic() + delay_s + random.uniform(-jitter_s, jitter_s)
                last[way] = max(last[way], due)
                heapq.heappush(waiting, (last[way], next(numbers), ends[1 - way], frame))
        while waiting and waiting[0][0] <= time.monotonic():
            _, _, other, frame = heapq.heappop(waiting)
            with contextlib.suppress(OSError):
                other.send(frame)


if __name__ == "__main__":
    main()
