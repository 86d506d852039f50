"""Every exception of the runner, in one leaf module.

Each carries its fields as attributes, survives pickling (it crosses process boundaries), and its
message is one line that names the remedy. ``exit_code`` is what the process exits with.
"""

from __future__ import annotations

__all__ = [
    "AuditBrokenError",
    "AuditError",
    "BatchFailedError",
    "CacheError",
    "InputError",
    "InterruptedBatchError",
    "JobFailedError",
    "JobTimeoutError",
    "LedgerCorruptError",
    "LedgerNewerError",
    "ProverError",
    "ReceiptRejectedError",
    "RunnerError",
    "UnexpectedError",
    "VerificationFailedError",
    "WorkerDiedError",
]


class RunnerError(Exception):
    """Base of all errors the runner raises on purpose.

    Subclasses pass their fields to ``super().__init__`` as positional arguments, which is what
    makes them picklable, and build the message in ``_words``.
    """

    exit_code = 1

    def __str__(self) -> str:
        return " ".join(self._words().split())

    def _words(self) -> str:
        return super().__str__()


class InputError(RunnerError):
    """A setting or input is not usable; nothing has been proved.

    Args:
        field: the config path or command-line argument, e.g. ``guest.inputs[3].n``.
        value: what was given, as the user would write it.
        problem: why it cannot be used, without field and value.
        remedy: what to do instead.
    """

    exit_code = 2

    def __init__(self, field: str, value: object, problem: str, remedy: str) -> None:
        super().__init__(field, value, problem, remedy)
        self.field = field
        self.value = value
        self.problem = problem
        self.remedy = remedy

    def _words(self) -> str:
        return f"{self.field} = {_shown(self.value)}: {self.problem}; {self.remedy}"


class ProverError(RunnerError):
    """The zkVM refused or failed: guest panic, malformed receipt, missing recursion programs.

    Args:
        code: stable machine-readable reason, e.g. ``guest_failed`` or ``unavailable``.
        message: what happened, one line.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message

    def _words(self) -> str:
        return f"{self.message} [{self.code}]"


class ReceiptRejectedError(RunnerError):
    """A receipt did not verify against the image id and journal it was to prove.

    Args:
        what: which receipt, e.g. ``job 7`` or ``cache entry ab12...``.
        reason: the verifier's words.
    """

    def __init__(self, what: str, reason: str) -> None:
        super().__init__(what, reason)
        self.what = what
        self.reason = reason

    def _words(self) -> str:
        return f"{self.what}: receipt rejected: {self.reason}"


class JobTimeoutError(RunnerError):
    """A job ran longer than ``executor.timeout_s``; its worker was ended.

    Args:
        timeout_s: the limit in seconds.
    """

    def __init__(self, timeout_s: float) -> None:
        super().__init__(timeout_s)
        self.timeout_s = timeout_s

    def _words(self) -> str:
        return f"no result within {self.timeout_s:g} s, worker ended; raise executor.timeout_s"


class WorkerDiedError(RunnerError):
    """The process that ran a job died (killed, out of memory, crash in native code).

    Args:
        detail: exit code or signal as far as it is known.
    """

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail

    def _words(self) -> str:
        return f"worker died ({self.detail})"


class JobFailedError(RunnerError):
    """One job failed for good, after all attempts.

    Args:
        job: the job's name, e.g. ``leaf 3`` or ``aggregation 12 (level 1)``.
        attempts: how often it was tried.
        reason: the last error, one line.
    """

    def __init__(self, job: str, attempts: int, reason: str) -> None:
        super().__init__(job, attempts, reason)
        self.job = job
        self.attempts = attempts
        self.reason = reason

    def _words(self) -> str:
        tries = "1 attempt" if self.attempts == 1 else f"{self.attempts} attempts"
        return f"{self.job} failed after {tries}: {self.reason}"


class BatchFailedError(RunnerError):
    """A batch ended without its result; finished receipts are kept.

    Args:
        message: what failed, one line.
        folder: the output folder that holds what there is.
    """

    def __init__(self, message: str, folder: str) -> None:
        super().__init__(message, folder)
        self.message = message
        self.folder = folder

    def _words(self) -> str:
        return f"batch failed: {self.message} (finished receipts and figures: {self.folder})"


class InterruptedBatchError(BatchFailedError):
    """The user or a signal stopped the batch; finished receipts are kept."""

    exit_code = 130

    def _words(self) -> str:
        return f"batch interrupted: {self.message} (the same command continues from here)"


class UnexpectedError(RunnerError):
    """A job of a sweep ended by a bug; the other jobs go on.

    Args:
        what: the exception, type and message.
        file: holds the traceback.
    """

    def __init__(self, what: str, file: str) -> None:
        super().__init__(what, file)
        self.what = what
        self.file = file

    def _words(self) -> str:
        return f"a bug, please report it: {self.what} (traceback in {self.file})"


class CacheError(RunnerError):
    """The proof cache cannot be used at all (folder not writable, index unreadable).

    Args:
        folder: the cache folder.
        reason: the operating system's or SQLite's words.
    """

    exit_code = 2

    def __init__(self, folder: str, reason: str) -> None:
        super().__init__(folder, reason)
        self.folder = folder
        self.reason = reason

    def _words(self) -> str:
        return f"cache.folder = {self.folder!r}: {self.reason}; choose another or use cache=off"


class LedgerCorruptError(RunnerError):
    """A metrics ledger's content is not what was written.

    Args:
        reason: what is wrong with it.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def _words(self) -> str:
        return f"damaged metrics ledger: {self.reason}"


class LedgerNewerError(RunnerError):
    """A metrics ledger was written by a later version, and is left as it is.

    Args:
        version: of the ledger.
        known: the last this version knows.
    """

    def __init__(self, version: int, known: int) -> None:
        super().__init__(version, known)
        self.version = version
        self.known = known

    def _words(self) -> str:
        return (
            f"metrics ledger of format {self.version}, known up to {self.known}: update, or choose"
            " another metrics.ledger"
        )


class AuditError(RunnerError):
    """The audit log cannot be written: the disk, or what is in it already.

    Args:
        path: of the log.
        reason: why not.
    """

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(path, reason)
        self.path = path
        self.reason = reason

    def _words(self) -> str:
        return f"audit log {self.path}: {self.reason}; see docs/audit.md"


class AuditBrokenError(RunnerError):
    """An audit log is not what was written.

    Args:
        line: number in the file of the first line that is not, from 1.
        reason: what is wrong with it.
    """

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(line, reason)
        self.line = line
        self.reason = reason

    def _words(self) -> str:
        return f"line {self.line}: {self.reason}"


class VerificationFailedError(RunnerError):
    """A finished batch folder does not prove what it says.

    Args:
        check: the check that failed, e.g. ``combined_hash``.
        reason: what was expected and what was found.
    """

    def __init__(self, check: str, reason: str) -> None:
        super().__init__(check, reason)
        self.check = check
        self.reason = reason

    def _words(self) -> str:
        return f"NOT VERIFIED: {self.check}: {self.reason}"


def _shown(value: object) -> str:
    """A value on one line: its start and its end (where a file's line number stands)."""
    try:
        text = repr(value) if isinstance(value, str) else str(value)
    except ValueError:  # Python refuses to print integers of more than 4300 digits
        return f"({type(value).__name__} too long to print)"
    return text if len(text) <= 120 else f"{text[:80]}...{text[-37:]}"
