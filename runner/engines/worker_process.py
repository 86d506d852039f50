"""What runs in a worker process: a loop that answers calls, and a watch over the parent process."""

from __future__ import annotations

import contextlib
import multiprocessing
import pickle
import signal
from multiprocessing import connection
from typing import TYPE_CHECKING, Any

from runner import lifeline

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

__all__ = ["serve"]


def serve(pipe: Connection[Any, Any]) -> None:
    """Answer calls until the parent process closes its end of the pipe, or ends.

    Args:
        pipe: The pipe to the parent. It receives pickled calls, ``(fn, args, kwargs)``, and sends
            pickled answers, ``(True, result)`` or ``(False, exception)``.
    """
    # Ctrl-C and the end of a terminal reach the whole process group, but the parent decides what
    # happens to the workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    parent = multiprocessing.parent_process()
    if parent is not None:
        lifeline.end_after(lambda: connection.wait([parent.sentinel]))
    # An OSError means that the parent is gone. End of file within a message is an OSError too.
    with contextlib.suppress(EOFError, OSError):
        while True:
            pipe.send_bytes(_answer(pipe.recv_bytes()))


def _answer(call: bytes) -> bytes:
    """Run a pickled call. The answer is ``(True, result)`` or ``(False, exception)``, pickled."""
    try:
        fn, args, kwargs = pickle.loads(call)  # noqa: S301  # from our own parent
        result = fn(*args, **kwargs)
    except Exception as error:  # noqa: BLE001  # it is raised again in the parent
        return _failure(error)
    try:
        return pickle.dumps((True, result))
    except Exception as error:  # noqa: BLE001  # pickling runs any code
        return _failure(TypeError(f"the result does not pickle: {error}"))


def _failure(error: Exception) -> bytes:
    """The answer for an exception. If it cannot be pickled, a RuntimeError quotes its message."""
    try:
        data = pickle.dumps((False, error))
        pickle.loads(data)  # noqa: S301  # made in the line above
    except Exception:  # noqa: BLE001  # pickling runs any code
        return pickle.dumps((False, RuntimeError(f"{type(error).__name__}: {error}")))
    return data
