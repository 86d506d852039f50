"""Entries of a proof cache, as the tests put them in and look at them."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

from runner.cache.cache import Cache, CacheStats
from runner.cache.proof_cache import ProofCache
from runner.model import Cycles, ReceiptKind

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


IMAGE = bytes(range(32))
CYCLES = Cycles(user=3316, paging=15181, total=32768, segments=1)

# The folders are in memory where there is such a place. Hundreds of waits for a disk that others
# use too would take most of the time, and no test here cuts the power.
MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def key(name: object) -> str:
    return hashlib.sha256(str(name).encode()).hexdigest()


def put(
    cache: Cache,
    name: object,
    data: bytes = b"data",
    *,
    image_id: bytes = IMAGE,
    kind: ReceiptKind = ReceiptKind.COMPOSITE,
    prove_s: float = 17.5,
) -> int:
    return cache.put(key(name), data, image_id=image_id, kind=kind, cycles=CYCLES, prove_s=prove_s)


def blob(folder: Path, name: object) -> Path:
    return folder / "objects" / key(name)[:2] / key(name)


def on_disk(folder: Path) -> CacheStats:
    files = [path for path in (folder / "objects").glob("*/*") if path.is_file()]
    return CacheStats(len(files), sum(path.stat().st_size for path in files))


def held(cache: ProofCache, names: object) -> str:
    """The one-letter names that have an entry. Looking does not change the order of use."""
    rows = cache._store.run(lambda index, _: [n for n in str(names) if index.row(key(n))])
    return "".join(rows)


def open_and_close(folder: Path) -> None:
    with ProofCache(folder, 3, 100):
        pass


def in_child(work: Callable[[], None]) -> int:
    """Run ``work`` in a forked process. Returns its wait status."""
    child = os.fork()
    if child == 0:
        try:
            work()
        except BaseException:  # noqa: BLE001  # nothing may get out of the child
            os._exit(1)
        os._exit(0)
    return os.waitpid(child, 0)[1]


def tree(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Every file below a folder, with the time of its last change and its contents."""
    return {
        str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.read_bytes())
        for path in folder.rglob("*")
        if path.is_file()
    }
