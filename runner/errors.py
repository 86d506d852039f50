"""Every exception of the runner, in one module that imports no other.

An exception has its fields as attributes and survives pickling, because it crosses process
boundaries. Its message is one line that names the remedy.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "ArtifactLostError",
    "AuditBrokenError",
    "AuditError",
    "BatchFailedError",
    "CacheError",
    "InputError",
    "InterruptedBatchError",
    "JobFailedError",
    "JobTimeoutError",
    "L1Error",
    "LedgerCorruptError",
    "LedgerNewerError",
    "OperatingSystemError",
    "PartialBatchError",
    "ProverError",
    "ReceiptRejectedError",
    "RunnerError",
    "SegmentLostError",
    "StoreError",
    "UnexpectedError",
    "VerificationFailedError",
    "WorkerDiedError",
    "shown_line",
    "visible",
]


class RunnerError(Exception):
    """The base of all errors that the runner raises on purpose.

    A subclass is a dataclass that builds its message from its fields in ``_words``. It keeps the
    comparison, hash and representation of an exception (``eq=False, repr=False``).

    Attributes:
        exit_code: what the process exits with when this error ends it.
    """

    exit_code = 1

    def __post_init__(self) -> None:
        # Unpickling calls the class with ``args``, so they must be all fields in order, whether
        # these were given by position or by name. Nothing but the fields is set at this point.
        self.args = tuple(vars(self).values())

    def __str__(self) -> str:
        return shown_line(self._words())

    def _words(self) -> str:
        return super().__str__()


@dataclass(eq=False, repr=False)
class InputError(RunnerError):
    """A setting or input cannot be used. Nothing has been proved.

    Attributes:
        field: the config path or command-line argument, e.g. ``guest.inputs[3].n``.
        value: the value that was given, as the user would write it.
        problem: why the value cannot be used, without the field and the value.
        remedy: what to do instead.
    """

    exit_code = 2
    field: str
    value: object
    problem: str
    remedy: str

    def _words(self) -> str:
        return f"{self.field} = {_shown(self.value)}: {self.problem}; {self.remedy}"


@dataclass(eq=False, repr=False)
class ProverError(RunnerError):
    """The zkVM refused or failed, e.g. over a guest's panic or a malformed receipt.

    Attributes:
        code: the reason as a stable name for machines, e.g. ``guest_failed`` or ``unavailable``.
        message: what happened, in one line.
        printed: what the guest had printed by then, as far as it is known and kept.
    """

    code: str
    message: str
    printed: str = ""

    def _words(self) -> str:
        return f"{self.message} [{self.code}]"


@dataclass(eq=False, repr=False)
class ReceiptRejectedError(RunnerError):
    """A receipt did not verify against the image id and journal that it was to prove.

    Attributes:
        what: which receipt it is, e.g. ``job 7`` or ``cache entry ab12...``.
        reason: the verifier's words.
    """

    what: str
    reason: str

    def _words(self) -> str:
        return f"{self.what}: receipt rejected: {self.reason}"


@dataclass(eq=False, repr=False)
class SegmentLostError(RunnerError):
    """What was kept of segments cannot be used, so that they have to be cut and proved again.

    Attributes:
        job: the id of the job whose segments they are.
        index: the position of the first segment.
        reason: what is wrong with what was kept.
        count: the number of segments.
    """

    job: int
    index: int
    reason: str
    count: int = 1

    def _words(self) -> str:
        which = f"segment {self.index + 1}"
        if self.count > 1:
            which = f"segments {self.index + 1} to {self.index + self.count}"
        return f"{which} of job {self.job}: {self.reason}"


@dataclass(eq=False, repr=False)
class JobTimeoutError(RunnerError):
    """A job ran longer than ``executor.timeout_s``, and its worker was ended.

    Attributes:
        timeout_s: the limit in seconds.
    """

    timeout_s: float

    def _words(self) -> str:
        return f"no result within {self.timeout_s:g} s, worker ended; raise executor.timeout_s"


@dataclass(eq=False, repr=False)
class WorkerDiedError(RunnerError):
    """The process that ran a job died: killed, out of memory, or crashed in native code.

    Attributes:
        detail: the exit code or signal, as far as it is known.
        out_of_memory: whether the system says that it has killed a process for want of memory.
    """

    detail: str
    out_of_memory: bool = False

    @property
    def aborted(self) -> bool:
        """Whether the process has ended itself, as Rust and C++ do where they get no memory."""
        return self.detail == "signal SIGABRT"

    @property
    def killed(self) -> bool:
        """Whether something has killed the process, as the system does where memory is short."""
        return self.detail == "signal SIGKILL"

    def _words(self) -> str:
        words = f"worker died ({self.detail}{', for want of memory' if self.out_of_memory else ''})"
        if not (self.killed or self.aborted):
            return words
        return (
            f"{words}; if memory was short, lower executor.workers, or prover.segment_po2 where"
            " the prover has it"
        )


@dataclass(eq=False, repr=False)
class JobFailedError(RunnerError):
    """One job failed for good, after all its attempts.

    Attributes:
        job: the job's name, e.g. ``leaf 3`` or ``aggregation 12 (level 1)``.
        attempts: the number of attempts that were made.
        reason: the last attempt's error, in one line.
    """

    job: str
    attempts: int
    reason: str

    def _words(self) -> str:
        tries = "1 attempt" if self.attempts == 1 else f"{self.attempts} attempts"
        return f"{self.job} failed after {tries}: {self.reason}"


@dataclass(eq=False, repr=False)
class BatchFailedError(RunnerError):
    """A batch ended without its result. The receipts that were finished are kept.

    Attributes:
        message: what failed, in one line.
        folder: the output folder that holds what was finished.
    """

    message: str
    folder: str

    def _words(self) -> str:
        return f"batch failed: {self.message} (finished receipts and figures: {self.folder})"


class PartialBatchError(BatchFailedError):
    """Some leaves of a batch failed, and the others have a verified result, as the user wanted."""

    def _words(self) -> str:
        return (
            f"batch done in part: {self.message} (the verified result of the rest: {self.folder})"
        )


class InterruptedBatchError(BatchFailedError):
    """The user or a signal stopped the batch. The receipts that were finished are kept."""

    exit_code = 130

    def _words(self) -> str:
        return f"batch interrupted: {self.message} (the same command continues from here)"


@dataclass(eq=False, repr=False)
class UnexpectedError(RunnerError):
    """A bug ended one job of a sweep. The other jobs go on.

    Attributes:
        what: the type and message of the exception that the bug raised.
        file: the file that holds the traceback.
    """

    what: str
    file: str

    def _words(self) -> str:
        return f"a bug, please report it: {self.what} (traceback in {self.file})"


@dataclass(eq=False, repr=False)
class OperatingSystemError(RunnerError):
    """The operating system refused something that no setting names, e.g. one more process.

    Attributes:
        path: the file that it is about; empty where it is about none.
        reason: the words of the operating system.
    """

    path: str
    reason: str

    def _words(self) -> str:
        return f"{self.path or 'the operating system'}: {self.reason}"


@dataclass(eq=False, repr=False)
class CacheError(RunnerError):
    """The proof cache cannot be used at all, e.g. because its folder cannot be written.

    Attributes:
        folder: the cache folder.
        reason: the words of the operating system or of SQLite.
    """

    exit_code = 2
    folder: str
    reason: str

    def _words(self) -> str:
        return f"cache.folder = {self.folder!r}: {self.reason}; choose another or use cache=off"


@dataclass(eq=False, repr=False)
class StoreError(RunnerError):
    """The store that machines share did not do what it was asked.

    Attributes:
        url: the store.
        reason: what it answered, or that it did not answer.
    """

    url: str
    reason: str

    def _words(self) -> str:
        return f"store.url = {self.url!r}: {self.reason}"


class ArtifactLostError(StoreError):
    """The store answers, and what was put into it is not there any more, or is something else."""


@dataclass(eq=False, repr=False)
class LedgerCorruptError(RunnerError):
    """The content of a metrics ledger is not what was written.

    Attributes:
        reason: what is wrong with the content.
    """

    reason: str

    def _words(self) -> str:
        return f"damaged metrics ledger: {self.reason}"


@dataclass(eq=False, repr=False)
class LedgerNewerError(RunnerError):
    """A metrics ledger was written by a later version of the runner. It is left as it is.

    Attributes:
        version: the version of the ledger's format.
        known: the latest version that this runner knows.
    """

    version: int
    known: int

    def _words(self) -> str:
        remedy = "update, or choose another metrics.ledger"
        return f"metrics ledger of format {self.version}, known up to {self.known}: {remedy}"


@dataclass(eq=False, repr=False)
class AuditError(RunnerError):
    """The audit log cannot be written, because of the disk or of what is in the log already.

    Attributes:
        path: the path of the log.
        reason: why it cannot be written.
    """

    path: str
    reason: str

    def _words(self) -> str:
        return f"audit log {self.path}: {self.reason}; see docs/audit.md"


@dataclass(eq=False, repr=False)
class AuditBrokenError(RunnerError):
    """The content of an audit log is not what was written.

    Attributes:
        line: the number of the first wrong line in the file, from 1.
        reason: what is wrong with that line.
    """

    line: int
    reason: str

    def _words(self) -> str:
        return f"line {self.line}: {self.reason}"


@dataclass(eq=False, repr=False)
class L1Error(RunnerError):
    """Something about an L1 failed. The batch itself and its proofs are as they were.

    Attributes:
        reason: the class of the failure as a stable name for machines, e.g. ``unreachable``;
            :class:`runner.evm.faults.Fault` lists them.
        message: what happened, in one line, without a secret.
        revert: what a contract said when it reverted, as hex with ``0x``; empty otherwise.
    """

    reason: str
    message: str
    revert: str = ""

    def _words(self) -> str:
        return f"L1: {self.message} [{self.reason}]"


@dataclass(eq=False, repr=False)
class VerificationFailedError(RunnerError):
    """A finished batch folder does not prove what it says.

    Attributes:
        check: the check that failed, e.g. ``combined_hash``.
        reason: what was expected and what was found.
    """

    check: str
    reason: str

    def _words(self) -> str:
        return f"NOT VERIFIED: {self.check}: {self.reason}"


def shown_line(text: str) -> str:
    """Return a text on one line of at most 2000 characters, with control characters escaped.

    It may be that of a guest or of a file from elsewhere, which must not steer or fill a terminal.
    """
    if len(text) > 100_000:  # what is cut off below need not be split into words first
        text = f"{text[:50_000]}...{text[-10_000:]}"
    line = " ".join(text.split())
    line = line if len(line) <= 2000 else f"{line[:1500]}...{line[-450:]}"
    return visible(line)


def visible(line: str) -> str:
    """Return a text with all that steers a terminal or a page escaped, line ends too."""
    return line if line.isprintable() else "".join(map(_visible, line))


def _visible(character: str) -> str:
    return character if character.isprintable() else ascii(character)[1:-1]


def _shown(value: object) -> str:
    """Show a value on one line: its start, and its end, where a file's line number stands."""
    try:
        text = repr(value) if isinstance(value, str) else str(value)
    except ValueError:  # Python refuses to print integers of more than 4300 digits
        return f"({type(value).__name__} too long to print)"
    return text if len(text) <= 120 else f"{text[:80]}...{text[-37:]}"
