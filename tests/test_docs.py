"""Links between the pages of the documentation lead somewhere, and the files they name exist."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from runner.files import SHIPPED

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PAGES = [SHIPPED / "README.md", *sorted((SHIPPED / "docs").rglob("*.md"))]
NAMES = [str(page.relative_to(SHIPPED)) for page in PAGES]
FOLDERS = ("benchmarks", "conf", "deploy", "docs", "guests", "native", "profiling", "runner")
"""Folders whose files a page may name in the text; ``scripts`` and ``tests`` are two more."""

_LINK = re.compile(r"\]\(([^)\s]+)\)")
_CODE = re.compile(r"```.*?```", re.DOTALL)
_FILE = re.compile(rf"`((?:{'|'.join(FOLDERS)}|scripts|tests)/[\w./*-]*)")
_MADE = re.compile(r"NAME|guests/target|native/\w+/target")
"""Names that stand for others, and folders that a build makes."""


def prose(page: Path) -> str:
    """A page without its blocks of code."""
    return _CODE.sub("", page.read_text(encoding="utf-8"))


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", text.lower()).strip().replace(" ", "-") for text in headings}


def broken(page: Path) -> Iterator[str]:
    """The links of a page that lead nowhere."""
    for link in _LINK.findall(prose(page)):
        path, _, anchor = link.partition("#")
        if re.match(r"\w+:", path):
            continue
        target = page.parent / path if path else page
        if not target.exists():
            yield f"{link}: there is no such file"
        elif anchor and target.suffix == ".md" and anchor not in anchors(target):
            yield f"{link}: there is no such heading"


def missing(page: Path) -> Iterator[str]:
    """The files of the repository that a page names and that do not exist."""
    for name in _FILE.findall(prose(page)):
        if not _MADE.search(name) and not any(SHIPPED.glob(name.rstrip("/."))):
            yield name


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_links_lead_somewhere(page: Path) -> None:
    assert list(broken(page)) == []


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_files_that_are_named_exist(page: Path) -> None:
    assert list(missing(page)) == []


def test_what_is_broken_is_seen(tmp_path: Path) -> None:
    (tmp_path / "other.md").write_text("# Some heading\n```\n# no heading\n```\n")
    page = tmp_path / "page.md"
    page.write_text(
        "[a](other.md#some-heading) [b](https://example.org/x#y) [c](nosuch.md)"
        " [d](other.md#no-heading) `runner/model.py` `runner/nosuch.py` `conf/*.yaml`"
        " `guests/NAME`\n```\n[e](nosuch.md)\n```\n"
    )
    assert [text.partition(":")[0] for text in broken(page)] == [
        "nosuch.md",
        "other.md#no-heading",
    ]
    assert list(missing(page)) == ["runner/nosuch.py"]


def test_every_page_of_figures_is_in_the_index_with_a_date() -> None:
    folder = SHIPPED / "docs" / "figures"
    index = (folder / "README.md").read_text(encoding="utf-8")
    for page in sorted(folder.glob("*.md")):
        if page.name != "README.md":
            assert f"[{page.name}]({page.name})" in index
            text = page.read_text(encoding="utf-8")
            assert re.search(r"\b\d{1,2}\s+\w+\s+20\d\d\b", text), f"{page.name} has no date"
            assert re.search(r"\bcommits?\s+[0-9a-f]{7}\b", text), f"{page.name} names no commit"
