"""Entries of a proof cache, as the tests put them in and look at them."""

from __future__ import annotations

import hashlib
import json
import os
from typing import TYPE_CHECKING, Any

from runner.cache.cache import Cache, CacheStats
from runner.cache.labels import split
from runner.cache.origins import MadeFrom, Origin
from runner.cache.proof_cache import ProofCache
from runner.model import Cycles, ReceiptKind

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


IMAGE = bytes(range(32))
CYCLES = Cycles(user=3316, paging=15181, total=32768, segments=1)
MADE_FROM = MadeFrom(IMAGE.hex(), "composite", None)
MAGIC = b"zk-batch-runner/proof 1 "

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
    origin: Origin | None = None,
) -> int:
    return cache.put(
        key(name),
        data,
        image_id=image_id,
        kind=kind,
        cycles=CYCLES,
        prove_s=prove_s,
        origin=origin,
    )


def blob(folder: Path, name: object) -> Path:
    return blob_at(folder, key(name))


def blob_at(folder: Path, key: str) -> Path:
    return folder / "objects" / key[:2] / key


def on_disk(folder: Path) -> CacheStats:
    files = [path for path in (folder / "objects").glob("*/*") if path.is_file()]
    return CacheStats(len(files), sum(len(proof_in(path)) for path in files))


def proof_in(blob: Path) -> bytes:
    """The proof in a blob, without what the blob says about it."""
    content = blob.read_bytes()
    labelled = split(content)
    return content if labelled is None else content[labelled.start :]


def rewrite(
    blob: Path,
    proof: Callable[[bytes], bytes] = bytes,
    *,
    fields: object = None,
    **changes: Any,  # noqa: ANN401  # any JSON value
) -> None:
    """Change the proof or the label in a blob, as a forger would: the digest in it is right again.

    Args:
        blob: The file.
        proof: Makes the new proof from the old one.
        fields: All that the label says instead.
        changes: The fields of the label that are to be another value, by name.
    """
    labelled = split(blob.read_bytes())
    assert labelled is not None
    line = blob.read_bytes()[labelled.first_line : labelled.start]
    said = json.loads(line) | changes if fields is None else fields
    rest = json.dumps(said, sort_keys=True).encode() + b"\n" + proof(proof_in(blob))
    digest = hashlib.sha256(rest).hexdigest().encode()
    blob.write_bytes(MAGIC + digest + b"\n" + rest)


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
