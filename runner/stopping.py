"""The signals that stop a run: Ctrl-C, SIGTERM, a closed terminal, and a used-up CPU limit.

The first one interrupts what the main thread does, as a KeyboardInterrupt. Those that come while
the run is closing are noted and interrupt nothing, so that its record, its figures and the end of
its audit log are written however often somebody, or systemd, asks.
"""

from __future__ import annotations

import contextlib
import logging
import signal
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

__all__ = ["before_interrupt", "check", "closing", "held", "install", "installed"]

log = logging.getLogger(__name__)

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGXCPU)

_AGAIN_S = 10.0
"""After this time a signal interrupts again, if nothing has begun to close: Python drops an
exception that is raised in a destructor, and nobody would have heard of the first signal."""


class _State:
    """What has come so far. A signal handler has nobody to hand it to but the process."""

    def __init__(self) -> None:
        self.raised = float("-inf")
        self.closing = 0
        self.noted: list[str] = []
        self.before: list[Callable[[], None]] = []


_state = _State()


def install() -> None:
    """Handle the signals in this process from now on, and forget those that came before.

    A signal that is ignored stays ignored, as SIGHUP under ``nohup``.
    """
    global _state  # noqa: PLW0603  # the process has one
    _state = _State()
    if threading.current_thread() is not threading.main_thread():
        return  # Python lets only the main thread have handlers
    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _handle)


@contextlib.contextmanager
def installed() -> Iterator[None]:
    """Handle the signals as :func:`install` does, and as before when the block has ended."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    install()
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            for number, handler in before.items():
                signal.signal(number, handler)


@contextlib.contextmanager
def before_interrupt(call: Callable[[], None]) -> Iterator[None]:
    """Make a call when a signal is about to interrupt a block. No other interrupts the call."""
    before = _state.before
    before.append(call)
    try:
        yield
    finally:
        before.remove(call)


@contextlib.contextmanager
def closing() -> Iterator[None]:
    """Let no signal interrupt a block. Those that come are named in the log when it has ended."""
    state = _state
    state.closing += 1
    try:
        yield
    finally:
        if state.noted and state.closing == 1:
            log.warning("%s came while the run was closing", ", ".join(dict.fromkeys(state.noted)))
        state.closing -= 1


@contextlib.contextmanager
def held() -> Iterator[None]:
    """Let a signal interrupt only when a block has ended, so that it is not left half done."""
    state = _state
    if threading.current_thread() is not threading.main_thread():
        yield  # Python runs the handlers in the main thread alone
        return
    state.closing += 1
    before = len(state.noted)
    try:
        yield
    finally:
        state.closing -= 1
    if not state.closing and len(state.noted) > before and _heard():
        del state.noted[before:]
        _interrupt()


def check() -> None:
    """Raise the KeyboardInterrupt of a signal that a closing block has held up.

    Raises:
        KeyboardInterrupt: such a signal has come.
    """
    if _state.noted:
        raise KeyboardInterrupt


def _handle(number: int, _frame: FrameType | None) -> None:
    if _state.closing or not _heard():
        _state.noted.append(signal.Signals(number).name)
        return
    _interrupt()


def _heard() -> bool:
    """Whether a signal that comes now interrupts, because no other has just done so."""
    return time.monotonic() - _state.raised >= _AGAIN_S


def _interrupt() -> None:
    _state.raised = time.monotonic()
    with closing():
        for call in _state.before:
            call()
    raise KeyboardInterrupt
