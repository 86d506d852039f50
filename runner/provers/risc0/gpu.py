"""A worker's place on a GPU.

A worker process uses one GPU from its first proof to its end, because CUDA lets a process choose
only once. Workers spread over the GPUs, and a GPU makes one proof at a time: whoever uses it holds
a lock file that the kernel gives up when its holder dies. So workers of several batches share a GPU
too.

A GPU that fails is set aside: the worker proves on the CPU for a while, and then tries the GPU
again. A GPU that takes a worker with it is set aside by the other workers of the batch.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from runner.gpus import VISIBLE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from runner.gpus import Gpu

__all__ = ["PROOFS_AT_ONCE", "SET_ASIDE_S", "WORKERS_PER_GPU", "Seat", "lock_folder", "take_seat"]

WORKERS_PER_GPU = 4
"""The workers that keep one GPU busy: while one proves, the others execute, prepare and verify.
Measured in docs/figures/gpu.md."""

PROOFS_AT_ONCE = 1
"""The proofs that a GPU makes at once, unless ``prover.gpu_proofs`` says otherwise."""

SET_ASIDE_S = 300.0
"""The seconds for which a GPU that failed is not tried again by the same worker."""

_MOST_SEATS = 256


class Seat:
    """This process's place on one GPU.

    Args:
        gpu: the GPU.
        lock: the file that a process locks while the GPU proves for it.
        taken: the file descriptor whose lock is the seat.
        clock: a function that returns a monotonic time in seconds.

    Attributes:
        gpu: the GPU.
        lock: see above.
    """

    def __init__(
        self, gpu: Gpu, lock: Path, taken: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.gpu = gpu
        self.lock = lock
        self._taken = taken
        self._clock = clock
        self._not_before = clock()
        self._seen: set[str] = set()

    @property
    def usable(self) -> bool:
        """Whether the GPU is not set aside."""
        return self._clock() >= self._not_before

    def set_aside(self) -> None:
        """Do not use the GPU for the next :data:`SET_ASIDE_S` seconds."""
        self._not_before = self._clock() + SET_ASIDE_S

    @contextlib.contextmanager
    def trial(self) -> Iterator[None]:
        """Leave a mark for as long as this process uses the GPU. If it dies, the mark stays."""
        path = self.lock.with_name(f"{self._marks}{os.getpid()}-{threading.get_ident()}")
        # A mark that nobody has locked says that its worker is dead, so it is locked before it has
        # its name.
        unnamed = self.lock.with_name(f".{path.name}")
        mark = _opened(unnamed)
        try:
            fcntl.flock(mark, fcntl.LOCK_EX)
            unnamed.rename(path)
            yield
        finally:
            path.unlink(missing_ok=True)
            os.close(mark)

    def worker_died(self) -> bool:
        """Whether a worker of the same batch died while it used the GPU, as this one sees now.

        Some of the library's CUDA calls end the process where they fail, e.g. where there is not
        enough memory for a start. The worker that takes the dead one's place would end in the same
        way, and so would the next.
        """
        for path in self.lock.parent.glob(f"{self._marks}*"):
            if path.name not in self._seen and _is_left_behind(path):
                self._seen.add(path.name)
                return True
        return False

    @property
    def _marks(self) -> str:
        """How the names of all marks on this GPU begin whose workers have the same parent."""
        return f"{self.gpu.uuid}.used-{os.getppid()}-"

    def leave(self) -> None:
        """Give the seat up. The end of the process does so too."""
        os.close(self._taken)


def take_seat(gpus: Sequence[Gpu], folder: Path, at_once: int) -> Seat:
    """Take a place on the GPU that has the fewest, for this process and for good.

    Args:
        gpus: the GPUs to choose from, at least one.
        folder: the folder of the lock files, which all processes share.
        at_once: the number of proofs that a GPU makes at once.

    Raises:
        OSError: the lock files cannot be used, or there are hundreds of workers.
    """
    for number in range(_MOST_SEATS):
        for gpu in gpus:
            taken = _opened(folder / f"{gpu.uuid}.seat-{number}")
            if not _locked(taken):
                os.close(taken)
                continue
            # CUDA reads it on its first call, and shows this process one GPU under number 0.
            os.environ[VISIBLE] = gpu.uuid
            return Seat(gpu, folder / f"{gpu.uuid}.lock-{number % at_once}", taken)
    raise OSError(f"more than {_MOST_SEATS} workers on a GPU")


def lock_folder() -> Path:
    """The folder of the lock files: this user's own, and gone after a restart.

    Raises:
        OSError: it cannot be made, or it is somebody else's.
    """
    base = os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()
    folder = Path(base) / f"zk-batch-runner-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise PermissionError(f"{folder} is not a folder of this user")
    return folder


def _opened(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


def _locked(file: int) -> bool:
    """Lock a file if nobody has locked it."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_left_behind(mark: Path) -> bool:
    """Whether a mark's process is dead. An old mark is removed and says nothing any more."""
    try:
        age_s = time.time() - mark.stat().st_mtime
        file = os.open(mark, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        if not _locked(file):
            return False
        if age_s > SET_ASIDE_S:
            mark.unlink(missing_ok=True)
            return False
        return mark.exists()  # its process may have ended its work just now
    finally:
        os.close(file)
