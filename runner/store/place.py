"""The protocol of a place with named entries, and the one behind every URL that fsspec knows.

A place may be a local folder, NFS, SFTP or a bucket of an object store. Many machines write to it
at once. Whoever reads an entry sees all of what one writer wrote, or nothing.
"""

from __future__ import annotations

import contextlib
import functools
import re
import threading
import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from runner import threads
from runner.errors import InputError, StoreError
from runner.text import one_line
from runner.untrusted import parse_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Entry", "Place", "PlaceSettings", "UrlPlace", "check_place"]

_T = TypeVar("_T")

_NAME = re.compile(r"(?:blobs|proofs)/[0-9a-f]{2}/[0-9a-f]{64}")
_ROOMS = ("blobs", "proofs")

_WHOLE = frozenset({"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "oci", "oss", "memory"})
"""The protocols whose writes are whole by themselves, because an object appears when its upload has
ended. Elsewhere an entry is written under another name and then renamed."""

_SECRET = re.compile(r"key$|secret|token|password|passwd|passphrase|credential|sas|account_key")
_NOT_SECRET = frozenset({"sse_kms_key", "anon"})


@dataclass(frozen=True, slots=True)
class PlaceSettings:
    """Where a place is and how it is reached. It is sent to workers, and holds no secret.

    Attributes:
        url: The URL as fsspec takes it, e.g. ``s3://bucket/batches`` or ``file:///mnt/shared``.
        options: The options of fsspec's file system as JSON, e.g.
            ``{"endpoint_url": "http://10.0.0.5:9000"}``.
        timeout_s: The seconds that one read or write may take.
    """

    url: str
    options: str = "{}"
    timeout_s: float = 60.0


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry as the list of a place shows it.

    Attributes:
        name: The name of the entry.
        size: The number of its bytes.
        modified: The Unix time in seconds at which it was written, by the clock of the place.
    """

    name: str
    size: int
    modified: float


class Place(Protocol):
    """Named entries that many machines read and write. Any thread may call it.

    Names have the form ``blobs/ab/ab12...`` or ``proofs/ab/ab12...``, where the last part has 64
    hexadecimal digits. Every method raises StoreError if the place does not do what it is asked, or
    does not answer in time.
    """

    @property
    def url(self) -> str:
        """The place as people are told it."""
        ...

    def read(self, name: str, most: int) -> bytes | None:
        """The bytes of an entry, or None if there is none.

        Raises:
            StoreError: It has more than ``most`` bytes, or it cannot be read.
        """
        ...

    def write(self, name: str, data: bytes) -> None:
        """Write an entry, in place of one with the same name."""
        ...

    def remove(self, name: str) -> None:
        """Remove an entry, if it is there."""
        ...

    def entries(self) -> Iterator[Entry]:
        """All entries, in no order. Entries that come or go meanwhile may be among them or not."""
        ...


class UrlPlace(Place):
    """A place behind a URL, reached through fsspec. Nothing is opened before it is first used.

    Args:
        settings: Where the place is and how it is reached.

    Raises:
        InputError: fsspec is not installed, knows no such URL, or lacks the library for it; or the
            options hold a secret.
    """

    def __init__(self, settings: PlaceSettings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._opened: tuple[Any, str, bool] | None = None  # fsspec has no type stubs
        self._options = parse_json(settings.options)
        for name in _names(self._options):
            if _SECRET.search(name) and name not in _NOT_SECRET:
                raise InputError(
                    f"store.options.{name}",
                    "...",
                    "a secret has no place in a configuration, which is recorded",
                    "give it in the environment or in the provider's own file (docs/cluster.md)",
                )
        if re.search(r"//[^/@]*:[^/@]*@", settings.url):
            raise InputError(
                "store.url",
                re.sub(r"//[^/@]*@", "//...@", settings.url),
                "a password has no place in a configuration, which is recorded",
                "give it in the environment or in the provider's own file (docs/cluster.md)",
            )
        self._known()

    @property
    def url(self) -> str:
        """See :class:`Place`."""
        return self._settings.url

    def read(self, name: str, most: int) -> bytes | None:
        """See :class:`Place`."""
        path = self._path(name)

        def work() -> bytes | None:
            fs, _, _ = self._open()
            try:
                # One byte more than it may have tells a larger entry from one that just fits.
                data: bytes = fs.cat_file(path, start=0, end=most + 1)
            except (FileNotFoundError, NotADirectoryError):
                return None
            return data

        data = self._within(work)
        if data is not None and len(data) > most:
            raise StoreError(self.url, f"{name} has more than {most} bytes")
        return data

    def write(self, name: str, data: bytes) -> None:
        """See :class:`Place`."""
        path = self._path(name)

        def work() -> None:
            fs, _, whole = self._open()
            if whole:
                fs.pipe_file(path, data)
                return
            fs.makedirs(path.rpartition("/")[0], exist_ok=True)
            # No list shows a name that starts with a dot, and no two writers take the same one.
            temp = f"{path.rpartition('/')[0]}/.{uuid.uuid4().hex}"
            try:
                fs.pipe_file(temp, data)
                fs.mv(temp, path)
            except BaseException:
                if fs.exists(temp):
                    fs.rm_file(temp)
                raise

        self._within(work)

    def remove(self, name: str) -> None:
        """See :class:`Place`."""
        path = self._path(name)

        def work() -> None:
            fs, _, _ = self._open()
            with contextlib.suppress(FileNotFoundError):
                fs.rm_file(path)

        self._within(work)

    def entries(self) -> Iterator[Entry]:
        """See :class:`Place`. It holds the entries of one of 512 parts at a time."""
        for room in _ROOMS:
            for part, _ in self._within(functools.partial(self._list, room)):
                for name, info in self._within(functools.partial(self._list, part)):
                    if info.get("type") == "file" and _NAME.fullmatch(name):
                        yield Entry(name, int(info.get("size") or 0), _time(info))

    def _list(self, folder: str) -> list[tuple[str, dict[str, Any]]]:
        fs, root, _ = self._open()
        try:
            found = fs.ls(f"{root}/{folder}", detail=True)
        except FileNotFoundError:
            return []
        names = [str(info["name"]).rstrip("/").rpartition("/")[2] for info in found]
        return [(f"{folder}/{name}", info) for name, info in zip(names, found, strict=True)]

    def _path(self, name: str) -> str:
        # A name of any other form could be a path that leads out of the place.
        if not _NAME.fullmatch(name):
            raise ValueError(f"not the name of an entry: {name!r}")
        return f"{self._root()}/{name}"

    def _root(self) -> str:
        return self._open()[1]

    def _open(self) -> tuple[Any, str, bool]:
        with self._lock:
            if self._opened is None:
                url_to_fs = self._known()
                # A list that is kept would not show what other machines write.
                options = {"use_listings_cache": False, "skip_instance_cache": True}
                try:
                    fs, root = url_to_fs(self.url, **(options | self._options))
                except Exception as error:  # each file system has its own errors
                    raise StoreError(self.url, one_line(error)) from error
                names = {fs.protocol} if isinstance(fs.protocol, str) else set(fs.protocol)
                self._opened = fs, root.rstrip("/"), bool(names & _WHOLE)
            return self._opened

    def _known(self) -> Callable[..., tuple[Any, str]]:
        """Fsspec's way from a URL to a file system, once it is known to have one for this URL."""
        try:
            from fsspec.core import split_protocol, url_to_fs
            from fsspec.registry import get_filesystem_class
        except ModuleNotFoundError:
            raise InputError(
                "store.url", self.url, "fsspec is not installed", "pip install '.[store]'"
            ) from None
        try:
            get_filesystem_class(split_protocol(self.url)[0] or "file")
        except (ImportError, ValueError) as error:
            raise InputError(
                "store.url",
                self.url,
                one_line(error),
                "install the library for it (for s3://, pip install '.[s3]'), or use another URL",
            ) from None
        return url_to_fs  # type: ignore[no-any-return]

    def _within(self, work: Callable[[], _T]) -> _T:
        """Do what may wait for a network, in a thread of its own, for as long as it may take.

        The libraries behind fsspec have time limits of many kinds, or none.
        """
        try:
            return threads.within(self._settings.timeout_s, "store", work)
        except StoreError:
            raise
        except Exception as error:
            words = one_line(error) if str(error) else type(error).__name__
            raise StoreError(self.url, words) from error


def check_place(place: Place) -> None:
    """Make sure that a place can be written and read, before anything depends on it.

    Raises:
        InputError: It cannot. The error says why.
    """
    name = f"blobs/00/{uuid.uuid4().hex}{uuid.uuid4().hex}"
    data = uuid.uuid4().bytes
    try:
        place.write(name, data)
        found = place.read(name, len(data))
        place.remove(name)
    except StoreError as error:
        raise InputError(
            "store.url",
            place.url,
            f"cannot be used ({error.reason})",
            "check address, network and credentials (docs/cluster.md), or use store=off",
        ) from None
    if found != data:
        raise InputError(
            "store.url",
            place.url,
            "gives back other bytes than were written",
            "check what stands between this machine and the store, or use another",
        )


def _names(options: object) -> Iterator[str]:
    """The names of all options, also of those within others."""
    if isinstance(options, dict):
        for name, value in options.items():
            yield str(name)
            yield from _names(value)


def _time(info: dict[str, Any]) -> float:
    """When an entry was written, by whatever name a file system has for this."""
    for name in ("LastModified", "mtime", "last_modified", "updated", "created"):
        found = info.get(name)
        if isinstance(found, datetime):
            return found.timestamp()
        if isinstance(found, int | float):
            return float(found)
    return 0.0
