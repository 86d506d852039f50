"""The segments of long runs on disk, and the receipts of those that are proved.

A segment is there from when it is cut until it is proved, and its receipt until it is lifted or the
receipt of the run is there. A lifted or joined receipt is there until it is joined. A file is named
by the digest of the segment, or by that of the part that has made the receipt. What is read is
compared with its digest, because nothing else keeps another program from changing it.

With a store of artifacts, segments go there, and the workers put the receipts there. Only what the
store does not take is kept on disk. A segment leaves the store when it is proved, or else when the
run ends.

Each run has a folder of its own, whose lock it holds. What a run that was killed has left is
removed by the next one that keeps a segment.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import logging
import shutil
import threading
from typing import TYPE_CHECKING

from runner import threads
from runner.errors import SegmentLostError, StoreError
from runner.files import user_path
from runner.locks import locked
from runner.model import Span, Step, Stored
from runner.untrusted import read_regular

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from runner.model import Part, ProofJob
    from runner.store.artifacts import Artifacts

__all__ = ["SegmentStore", "segments_folder"]

log = logging.getLogger(__name__)

_MOST_BYTES = 1 << 30
"""The largest file that is read. A segment of 2^22 cycles has some megabytes."""


_LOCK = ".lock"
_PATIENCE_S = 10.0
"""The seconds for which the end of a run waits for the store to remove its segments."""


def segments_folder(env: Mapping[str, str], otherwise: Path) -> Path:
    """The folder in which all runs of this user keep segments.

    Args:
        env: the environment variables, of which ``RUNNER_SEGMENTS`` names the folder.
        otherwise: the folder if the system knows no home of this user.
    """
    try:
        return user_path(env, "RUNNER_SEGMENTS", "cache", "segments").absolute()
    except RuntimeError:
        return otherwise


class SegmentStore:
    """What a run keeps of segments. Several threads may use it.

    Args:
        base: the folder of all runs. Nothing is made in it before something is kept.
        name: the name of this run's folder in it.
        artifacts: the store of artifacts, for workers elsewhere; None if the workers are here.
    """

    def __init__(self, base: Path, name: str, artifacts: Artifacts | None = None) -> None:
        self._artifacts = artifacts
        self._sent: dict[bytes, Stored] = {}  # the segments in the store, by digest
        self._proved: set[bytes] = set()  # those of them that are to be removed
        self._base = base
        self._folder = base / name
        self._opening = threading.Lock()
        self._held = contextlib.ExitStack()
        self._open = False
        # The name of the receipt, and its digest or where it is, by job and the segments that it is
        # of. What is lifted takes the place of the segment's, and what is joined that of two.
        self._receipts: dict[int, dict[Span, tuple[str, bytes | Stored]]] = {}
        self._files: dict[int, set[str]] = {}  # the names of those that are there, by job

    def put_segment(self, job_id: int, data: bytes) -> bytes:
        """Keep a segment of a job, and return its digest. Raises OSError."""
        digest = hashlib.sha256(data).digest()
        name = f"{digest.hex()}.segment"
        if self._artifacts is not None and self._send(self._artifacts, digest, data):
            self._files.setdefault(job_id, set()).add(name)
        else:
            self._write(job_id, name, data)
        return digest

    def segment(self, job_id: int, index: int, digest: bytes) -> bytes:
        """Return a segment.

        Args:
            job_id: the id of the job whose segment it is.
            index: the position of the segment.
            digest: the digest of its bytes.

        Raises:
            SegmentLostError: it is not there any more, or not what was kept.
        """
        return self._read(job_id, Span(index, 1), f"{digest.hex()}.segment", digest)

    def stored(self, digest: bytes) -> Stored | None:
        """Where in the store a segment is, or None if it is on this disk."""
        return self._sent.get(digest)

    def refer(self, job: ProofJob, part: Part, stored: Stored) -> None:
        """Keep where in the store a part's receipt is, in the place of what it is made from."""
        self._keep(job.id, part, stored)

    def put_receipt(self, job: ProofJob, part: Part, receipt: bytes) -> None:
        """Keep the receipt of a part in the place of what it is made from. Raises OSError."""
        self._write(job.id, _receipt_name(part), receipt)
        self._keep(job.id, part, hashlib.sha256(receipt).digest())

    def receipts(self, job_id: int, spans: Iterable[Span]) -> tuple[bytes, ...]:
        """Return the receipts of segments of a job. One in the store is left empty.

        Args:
            job_id: the id of the job.
            spans: the segments that each receipt is of.

        Raises:
            SegmentLostError: one is not there any more, or not what was kept.
        """
        found = []
        for span in spans:
            name, receipt = self._kept(job_id, span)
            if isinstance(receipt, Stored):
                found.append(b"")
            else:
                found.append(self._read(job_id, span, name, receipt))
        return tuple(found)

    def stored_receipts(self, job_id: int, spans: Iterable[Span]) -> tuple[Stored | None, ...]:
        """Where the receipts of segments of a job are; None for one on this disk.

        Raises:
            SegmentLostError: one is not there any more.
        """
        kept = (self._kept(job_id, span)[1] for span in spans)
        return tuple(receipt if isinstance(receipt, Stored) else None for receipt in kept)

    def drop(self, job_id: int) -> None:
        """Remove all that is kept of a job's segments, for which there is no use any more."""
        self._receipts.pop(job_id, None)
        for name in list(self._files.get(job_id, ())):
            self._remove(job_id, name)

    def clear(self) -> None:
        """Remove everything. What a store does not remove in time is left to its bound."""
        if self._artifacts is not None and self._sent:
            self._proved |= self._sent.keys()
            with contextlib.suppress(StoreError, TimeoutError):
                threads.within(
                    _PATIENCE_S, "segments", functools.partial(self._tidy, self._artifacts)
                )
        shutil.rmtree(self._folder, ignore_errors=True)
        self._held.close()

    def _kept(self, job_id: int, span: Span) -> tuple[str, bytes | Stored]:
        try:
            return self._receipts[job_id][span]
        except KeyError:
            raise SegmentLostError(job_id, span.first, "no receipt is kept", span.count) from None

    def _keep(self, job_id: int, part: Part, receipt: bytes | Stored) -> None:
        """Note a receipt, and remove what it is made from."""
        kept = self._receipts.setdefault(job_id, {})
        name = _receipt_name(part)
        if part.step is Step.SEGMENT:
            self._remove(job_id, f"{part.digest.hex()}.segment")
        for span in part.takes:
            earlier, _ = kept.pop(span, (name, b""))
            if earlier != name:
                self._remove(job_id, earlier)
        kept[part.span] = (name, receipt)

    def _send(self, artifacts: Artifacts, digest: bytes, data: bytes) -> bool:
        """Give a segment to the store, in the thread that cuts. Returns whether it took it."""
        self._proved.discard(digest)  # it is cut again, because its receipt was lost
        try:
            artifacts.put(data, new=True)
            self._sent[digest] = Stored(digest.hex(), len(data))
            self._tidy(artifacts)
        except StoreError as error:
            log.warning("the store failed on a segment, which cost no proof: %s", error.reason)
        return digest in self._sent

    def _tidy(self, artifacts: Artifacts) -> None:
        """Remove the segments that are proved from the store. Raises StoreError."""
        while self._proved:
            digest = self._proved.pop()
            if self._sent.pop(digest, None) is not None:
                artifacts.remove(digest.hex())

    def _prepare(self) -> None:
        """Make this run's folder, and remove those of runs that are dead."""
        with self._opening:
            if self._open:
                return
            self._base.mkdir(parents=True, exist_ok=True)
            # A folder of another run is locked as soon as it can be seen.
            with locked(self._base / _LOCK, wait_s=60.0):
                for other in self._base.iterdir():
                    if other.is_dir():
                        with contextlib.suppress(TimeoutError), locked(other / _LOCK):
                            shutil.rmtree(other, ignore_errors=True)
                self._folder.mkdir()
                self._held.enter_context(locked(self._folder / _LOCK))
            self._open = True

    def _remove(self, job_id: int, name: str) -> None:
        """Remove a segment or a receipt. The store is told of a segment by the next to call it."""
        self._files.get(job_id, set()).discard(name)
        digest, _, kind = name.partition(".")
        if kind == "segment" and bytes.fromhex(digest) in self._sent:
            self._proved.add(bytes.fromhex(digest))
        else:
            (self._folder / name).unlink(missing_ok=True)

    def _write(self, job_id: int, name: str, data: bytes) -> None:
        self._prepare()
        path = self._folder / name
        self._files.setdefault(job_id, set()).add(name)
        # A file that is cut short by a crash is found by its digest, so nothing waits for the disk.
        try:
            path.write_bytes(data)
        except OSError:
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
            raise

    def _read(self, job_id: int, span: Span, name: str, digest: bytes) -> bytes:
        try:
            data = read_regular(self._folder / name, _MOST_BYTES)
        except OSError as error:
            reason = f"{name}: {error.strerror}"
            raise SegmentLostError(job_id, span.first, reason, span.count) from None
        if hashlib.sha256(data).digest() != digest:
            raise SegmentLostError(job_id, span.first, f"{name}: not what was kept", span.count)
        return data


def _receipt_name(part: Part) -> str:
    return f"{part.digest.hex()}.receipt"
