"""The transport: one JSON-RPC call over HTTP, bounded in time and size.

The address of a node may contain a key. It is never logged or shown: :attr:`Rpc.name` has only its
scheme, host and port.
"""

from __future__ import annotations

import itertools
import json
import re
import urllib.request
from http.client import HTTPException
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from runner import threads
from runner.errors import InputError, L1Error
from runner.evm.faults import Fault, classify
from runner.untrusted import parse_json

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Rpc", "check_url", "redacted", "to_bytes", "to_int"]

_MAX_ANSWER = 16 << 20
"""The most bytes of an answer; a block without its transactions has some kilobytes."""

_QUANTITY = re.compile(r"0x(?:0|[1-9a-f][0-9a-f]{0,63})")
_DATA = re.compile(r"0x(?:[0-9a-fA-F]{2})*")


class Rpc:
    """A node, or a signer, that is asked by JSON-RPC.

    Args:
        url: the http or https address. It may contain a key.
        timeout_s: the seconds that one call may take in all.
        failed: a function that is called with the class of each failed call.
    """

    def __init__(
        self,
        url: str,
        timeout_s: float = 10.0,
        failed: Callable[[Fault], None] = lambda _: None,
    ) -> None:
        self._url = url
        self._timeout_s = timeout_s
        self._failed = failed
        self._ids = itertools.count(1)
        self.name = redacted(url)
        # A proxy cannot reach this machine's loopback, and no answer may lead to another address.
        handlers: list[Any] = [_NoRedirect]
        if urlsplit(url).hostname in {"127.0.0.1", "localhost", "::1"}:
            handlers.append(urllib.request.ProxyHandler({}))
        self._opener = urllib.request.build_opener(*handlers)

    def call(self, method: str, *parameters: object) -> Any:  # noqa: ANN401  # any JSON value
        """Call a method and return its result.

        Raises:
            L1Error: there was no answer in time, none that is JSON-RPC, or the node refused. The
                reason is the failure's class.
        """
        try:
            return self._call(method, parameters)
        except L1Error as error:
            self._failed(Fault(error.reason))
            raise

    def _call(self, method: str, parameters: tuple[object, ...]) -> Any:  # noqa: ANN401
        number = next(self._ids)
        asked = {"jsonrpc": "2.0", "id": number, "method": method, "params": list(parameters)}
        answer = self._answer(method, json.dumps(asked).encode())
        try:
            found = parse_json(answer)
        except ValueError:
            raise self._unreachable(method, "the answer is not JSON") from None
        if not isinstance(found, dict) or not ({"result", "error"} & found.keys()):
            raise self._unreachable(method, "the answer is not JSON-RPC")
        error = found.get("error")
        if error is not None:
            code, words = _error(error)
            words = self._without_key(words)
            message = f"{self.name} refused {method}: {words}"
            raise L1Error(classify(code, words).value, message, revert=_revert_data(error))
        if found.get("id") != number:
            raise self._unreachable(method, "the answer is that of another call")
        return found["result"]

    def _answer(self, method: str, body: bytes) -> bytes:
        """Send a request in a thread of its own: a socket's timeout limits each packet alone."""
        answers: list[bytes] = []
        problems: list[Exception] = []

        def ask() -> None:
            headers = {"Content-Type": "application/json"}
            request = urllib.request.Request(self._url, body, headers, method="POST")  # noqa: S310
            try:
                with self._opener.open(request, timeout=self._timeout_s) as response:
                    answers.append(response.read(_MAX_ANSWER + 1))
            except urllib.error.HTTPError as error:
                # Some nodes answer an error of JSON-RPC with a status that is not 200.
                with error:
                    answers.append(_read_error(error))
                problems.append(error)
            except (OSError, HTTPException, ValueError) as error:
                problems.append(error)

        try:
            threads.within(self._timeout_s, "json-rpc", ask)
        except TimeoutError as error:
            raise self._unreachable(method, str(error)) from None
        if answers and answers[0].lstrip().startswith(b"{"):
            if len(answers[0]) > _MAX_ANSWER:
                raise self._unreachable(method, f"the answer exceeds {_MAX_ANSWER} bytes")
            return answers[0]
        if problems:
            raise self._unreachable(method, _words(problems[0]))
        return answers[0]

    def _without_key(self, words: str) -> str:
        """A node's words, which may quote what in its address is a key."""
        parts = urlsplit(self._url)
        secrets = re.split(r"[/?&=:@]", f"{parts.path}/{parts.query}/{parts.netloc}")
        for secret in sorted(secrets, key=len, reverse=True):
            if len(secret) >= 8 and secret != parts.hostname:
                words = words.replace(secret, "...")
        return words

    def _unreachable(self, method: str, why: str) -> L1Error:
        return L1Error(Fault.UNREACHABLE.value, f"{self.name} did not answer {method}: {why}")


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Refuses redirects: a redirected POST would become a GET, and lead to a stranger."""

    def redirect_request(self, *_: object) -> None:
        return None


def redacted(url: str) -> str:
    """The scheme, host and port of an address, without what may be a key."""
    try:
        parts = urlsplit(url)
        port = "" if parts.port is None else f":{parts.port}"
    except ValueError:
        return "(an address that cannot be read)"
    return f"{parts.scheme}://{parts.hostname}{port}"


def check_url(field: str, url: str, *, secret: bool) -> None:
    """Refuse what is no address of a node, and an address that would show a key.

    Args:
        field: the setting, for the error.
        url: the address.
        secret: whether the address came from where secrets may be, and may contain one.

    Raises:
        InputError: it cannot be used. Its value is shown without what may be a key.
    """
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or not url.isprintable() or " " in url:
        remedy = "give http://HOST:PORT or https://HOST"
        raise InputError(field, redacted(url), "not the address of a node", remedy)
    bare = parts.path in {"", "/"} and not (parts.query or parts.fragment or "@" in parts.netloc)
    if not secret and not bare:
        raise InputError(
            field,
            redacted(url),
            "has more than a host and a port, which may be a key and would be logged",
            f"put it into an environment variable and name that in {field}_env",
        )


def to_int(value: object) -> int:
    """A quantity as JSON-RPC writes it.

    Raises:
        L1Error: it is something else, so that the node is none.
    """
    if not isinstance(value, str) or not _QUANTITY.fullmatch(value):
        raise L1Error(Fault.UNREACHABLE.value, "the node answered something that is no number")
    return int(value, 16)


def to_bytes(value: object, size: int | None = None) -> bytes:
    """Bytes as JSON-RPC writes them.

    Raises:
        L1Error: it is something else, or of another size.
    """
    if not isinstance(value, str) or not _DATA.fullmatch(value):
        raise L1Error(Fault.UNREACHABLE.value, "the node answered something that are no bytes")
    found = bytes.fromhex(value[2:])
    if size is not None and len(found) != size:
        raise L1Error(Fault.UNREACHABLE.value, f"the node answered {len(found)} bytes, not {size}")
    return found


def _error(error: object) -> tuple[int, str]:
    if not isinstance(error, dict):
        return 0, "an error without words"
    code, message = error.get("code"), error.get("message")
    words = message if isinstance(message, str) else "an error without words"
    return code if type(code) is int else 0, words[:500]


def _revert_data(error: object) -> str:
    """What a contract said when it reverted, as hex. Clients put it in one of two places."""
    data = error.get("data") if isinstance(error, dict) else None
    if isinstance(data, dict):
        data = data.get("data")
    known = isinstance(data, str) and len(data) <= 2048 and _DATA.fullmatch(data)
    return str(data) if known else ""


def _read_error(error: urllib.error.HTTPError) -> bytes:
    try:
        return error.read(_MAX_ANSWER + 1)
    except (OSError, HTTPException):
        return b""


def _words(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"HTTP {error.code}"
    return " ".join(str(getattr(error, "reason", error)).split())[:200] or type(error).__name__
