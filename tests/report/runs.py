"""Batches for the reports' tests, run with the fake prover, and a reader of the pages."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import pytest

from runner.batch.run import run as run_batch
from runner.cache.cache import NoCache
from runner.errors import BatchFailedError
from runner.folder import RESULT
from runner.model import ReceiptKind
from runner.plan.journal import padded
from tests import builders

if TYPE_CHECKING:
    from pathlib import Path

    from runner.batch.settings import Settings
    from tests.fakes.behaviours import Behaviours

VOID = {"meta", "wbr", "br", "hr", "img", "input", "link"}


def settings(
    folder: Path,
    guests: Path,
    *,
    count: int = 6,
    strategy: str = "two_level",
    kind: ReceiptKind = ReceiptKind.COMPOSITE,
    cached: bool = False,
) -> Settings:
    """The settings of a batch, with a config as Hydra would give it."""
    return builders.batch_settings(
        folder,
        guests,
        count=count,
        strategy=builders.strategy(strategy),
        prover=builders.prover(kind),
        cache=builders.disk_cache(folder.parent / "proofs") if cached else NoCache(),
        progress="none",
        quiet=True,
        config={
            "guest": {"name": "sha256", "count": count, "inputs": None},
            "strategy": {"name": strategy, "fan_in": "auto"},
            "prover": {"kind": kind.value},
            "output": str(folder),
        },
    )


def run(folder: Path, guests: Path, **choices: Any) -> dict[str, Any]:  # noqa: ANN401  # passed on
    """Run a batch. Returns what its ``result.json`` says, as read by nothing but a JSON parser."""
    folder.mkdir(parents=True, exist_ok=True)
    run_batch(settings(folder, guests, **choices))
    return raw(folder)


def failed(folder: Path, guests: Path, behaviours: Behaviours) -> dict[str, Any]:
    """A run whose third leaf needs two attempts and whose fourth leaf fails."""
    behaviours.on("transient", stdin=padded(b"leaf-2"), times=1)
    behaviours.on("fail", stdin=padded(b"leaf-3"))
    with pytest.raises(BatchFailedError):
        run(folder, guests)
    return raw(folder)


def on_gpus(folder: Path, guests: Path, behaviours: Behaviours) -> dict[str, Any]:
    """A run in which a GPU proves the third leaf and fails at the fourth."""
    behaviours.on("on_gpu", stdin=padded(b"leaf-2"))
    behaviours.on("gpu_fails", stdin=padded(b"leaf-3"))
    return run(folder, guests)


def raw(folder: Path) -> dict[str, Any]:
    data: dict[str, Any] = json.loads((folder / RESULT).read_text(encoding="utf-8"))
    return data


def write(folder: Path, data: object) -> Path:
    """Make a folder with ``data`` as its ``result.json``."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / RESULT).write_text(json.dumps(data), encoding="utf-8")
    return folder


class Page(HTMLParser):
    """A page taken apart. Every element must be closed where HTML wants it closed.

    Attributes:
        tags: The tags of all elements, in order.
        attributes: All attributes, as (tag, name, value).
        text: The text between the tags, without styles.
    """

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(page.decode())
        self.close()
        assert self._open == [], "elements left open"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self._open, f"</{tag}> closes nothing"
        assert self._open.pop() == tag, f"</{tag}> closes another element"

    def handle_data(self, data: str) -> None:
        if "style" not in self._open:
            self.text += data

    def links(self) -> list[str]:
        return [value for tag, name, value in self.attributes if (tag, name) == ("a", "href")]
