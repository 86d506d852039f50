"""Receipts that a batch uses and does not make: from a folder or the cache, and verified first."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from runner.codec.values import UnusableError
from runner.errors import InputError, ProverError, ReceiptRejectedError
from runner.folder import MAX_FILE_BYTES
from runner.jobs.entries import job_key, verify_entry
from runner.model import Child, Guest, ProofJob, ReceiptKind
from runner.provers.verifying import verify_receipt
from runner.untrusted import read_regular, unhex

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runner.batch.batch import Batch
    from runner.cache.cache import CacheView
    from runner.plan.inputs import InputSpec
    from runner.provers.prover import Prover

__all__ = ["ReceiptsElsewhere", "named_guest"]

_MOST_FILES = 4095


class ReceiptsElsewhere:
    """Finds receipts in folders and in the cache, and verifies each.

    Args:
        batch: the batch, whose guests may be named.
        prover: the prover that verifies receipts.
        view: the cache as it is; None for none.
        specs: the description of each guest's input, by the guest's name.
    """

    def __init__(
        self, batch: Batch, prover: Prover, view: CacheView | None, specs: Mapping[str, InputSpec]
    ) -> None:
        self._batch = batch
        self._prover = prover
        self._view = view
        self._specs = specs

    def in_folder(self, item: Mapping[str, object], field: str) -> list[Child]:
        """The receipts in a folder, or in a single file.

        Args:
            item: ``folder``, ``guest`` or ``image_id``, and ``journal`` in hex where it is known.
            field: the setting, for errors.

        Raises:
            InputError: there is no receipt, or one does not verify against the image id, proves
                another journal than ``journal``, or is of a kind that cannot be an assumption.
        """
        if not {"folder"} <= item.keys() <= {"folder", "guest", "image_id", "journal"}:
            remedy = "give folder, guest or image_id, and journal where it is known"
            raise InputError(field, dict(item), "has other names", remedy)
        image_id = self._image_id(item, field)
        journal = None if item.get("journal") is None else _hex(item["journal"], None, field)
        place = Path(str(item["folder"])).expanduser()
        found = [self._read(path, image_id, field) for path in _files(place, field)]
        if journal is not None:
            found = [child for child in found if child.journal == journal]
            if not found:
                problem = f"no receipt in {place} proves the journal {journal.hex()[:64]}"
                raise InputError(field, str(place), problem, "give the receipt that does")
        return found

    def in_cache(self, item: Mapping[str, object], field: str) -> Child:
        """The receipt that the cache has of a guest on an input.

        Args:
            item: ``cache`` with the guest's name, and ``input``.
            field: the setting, for errors.

        Raises:
            InputError: the guest does not take the input, or the cache has no receipt that
                verifies.
        """
        if item.keys() != {"cache", "input"}:
            raise InputError(field, dict(item), "has other names", "give cache: GUEST and input")
        guest = named_guest(self._batch, item["cache"], field)
        try:
            _, stdin, _, _ = self._specs[guest.name].encode(item["input"], Path())
        except UnusableError as bad:
            raise bad.at(f"{field}.input") from None
        problem = "the cache is off" if self._view is None else "the cache has no such receipt"
        for kind in _kinds(self._batch.prover.kind) if self._view is not None else ():
            job = ProofJob(0, field, guest, stdin, (), kind)
            key = job_key(self._prover, job)
            found = self._view.find(key) if self._view is not None else None
            if found is None or found.data is None:
                continue
            try:
                journal = verify_entry(self._prover, job, key, found.data, found.made_from)
            except ReceiptRejectedError as error:
                problem = error.reason
                continue
            return Child(guest.image_id, journal, found.data)
        remedy = f"prove {guest.name} on this input first, or make it a leaf of this batch"
        raise InputError(field, item["input"], problem, remedy)

    def _image_id(self, item: Mapping[str, object], field: str) -> bytes:
        if ("guest" in item) == ("image_id" in item):
            remedy = "give the image id that you trust, as guest: NAME or image_id: HEX"
            raise InputError(field, item["folder"], "names not exactly one image id", remedy)
        if "image_id" in item:
            return _hex(item["image_id"], 32, field)
        return named_guest(self._batch, item["guest"], field).image_id

    def _read(self, path: Path, image_id: bytes, field: str) -> Child:
        try:
            data = read_regular(path, MAX_FILE_BYTES)
        except OSError as error:
            problem = f"cannot be read ({error.strerror or error})"
            raise InputError(field, str(path), problem, "give another receipt") from None
        try:
            journal = verify_receipt(self._prover, data, image_id, None, path.name)
            kind = self._prover.describe(data).kind
        except (ReceiptRejectedError, ProverError) as error:
            problem = f"proves no run of {image_id.hex()[:16]}...: {error}"
            remedy = "give the receipt's own program, or remove the file"
            raise InputError(field, str(path), problem, remedy) from None
        if kind == ReceiptKind.GROTH16.value:
            problem, remedy = "a Groth16 receipt cannot be an assumption", "give a succinct one"
            raise InputError(field, str(path), problem, remedy)
        return Child(image_id, journal, data)


def named_guest(batch: Batch, name: object, field: str) -> Guest:
    """A guest of the batch by its name.

    Raises:
        InputError: the batch has no such guest.
    """
    known = {guest.name: guest for guest in batch.guests}
    if not isinstance(name, str) or name not in known:
        remedy = f"name one of {', '.join(known)}, or give an image_id"
        raise InputError(field, name, "not a guest of this batch", remedy)
    return known[name]


def _files(place: Path, field: str) -> list[Path]:
    """The files of receipts in a folder, or the file itself."""
    try:
        files = sorted(place.glob("*.receipt")) if place.is_dir() else [place]
    except OSError as error:
        problem = f"cannot be read ({error.strerror or error})"
        raise InputError(field, str(place), problem, "give another folder") from None
    if not files or not place.exists():
        problem = "there is no file *.receipt" if files == [] else "no such file or folder"
        raise InputError(field, str(place), problem, "give the folder receipts/ of a batch")
    if len(files) > _MOST_FILES:
        problem, remedy = f"{len(files)} receipts", f"give at most {_MOST_FILES}"
        raise InputError(field, str(place), problem, remedy)
    return files


def _kinds(kind: ReceiptKind) -> tuple[ReceiptKind, ...]:
    """The kinds of receipt that are looked for, where the batch makes receipts of ``kind``."""
    if kind is ReceiptKind.EXECUTE:
        return (ReceiptKind.COMPOSITE, ReceiptKind.SUCCINCT)
    return (ReceiptKind.SUCCINCT,) if kind is ReceiptKind.GROTH16 else (kind,)


def _hex(text: object, size: int | None, field: str) -> bytes:
    try:
        return unhex(text.lower() if isinstance(text, str) else text, size)
    except ValueError as error:
        digits = "hex digits" if size is None else f"{2 * size} hex digits"
        raise InputError(field, text, str(error), f"give {digits}") from None
