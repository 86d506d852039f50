"""Threads that run during a test."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from socketserver import BaseServer

T = TypeVar("T")
S = TypeVar("S", bound="BaseServer")


def side_by_side(work: Callable[[T], object], items: Iterable[T]) -> None:
    """Call ``work`` with every item, each in its own thread, and wait for all of them."""
    threads = [threading.Thread(target=work, args=(item,)) for item in items]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@contextmanager
def serving(server: S) -> Iterator[S]:
    """Let a server serve in a thread until the block ends, and close it then."""
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
