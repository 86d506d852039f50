"""Hostile texts in a result, and the check that a page stays harmless."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.report.runs import Page


EVIL = (
    "\"><script>alert(1)</script><img src=x onerror=alert(2)>'&{{ 7*7 }}"
    "$\\frac{1}{$[red]\x00\n\u202e"
)


def evil(data: Any) -> Any:  # noqa: ANN401  # JSON
    """The same record with a hostile text wherever any text is read."""
    if isinstance(data, dict):
        kept = {"status", "plan"}
        changed = {key: value if key in kept else evil(value) for key, value in data.items()}
        return changed | ({EVIL: EVIL} if "guest" in data and "output" in data else {})
    if isinstance(data, list):
        return [evil(item) for item in data]
    return EVIL if isinstance(data, str) else data


def assert_alone_and_harmless(page: Page, text: str) -> None:
    assert not {"script", "iframe", "object", "embed", "link", "img", "base", "form"} & {*page.tags}
    assert not [name for _, name, _ in page.attributes if name.startswith("on") or name == "src"]
    for tag, name, value in page.attributes:
        assert "//" not in value, f"{tag} {name} = {value}"
        if name == "href" and tag == "a":
            assert re.match(r"\.{0,2}/?[\w%.][^:]*$", value), value
        if name == "href" and tag != "a":
            assert value.startswith("#"), f"{tag} loads {value}"
    style = re.findall(r"<style.*?</style>", text, re.DOTALL)
    assert not [part for part in style if "url(" in part or "@import" in part]
    ids = Counter(value for _, name, value in page.attributes if name == "id")
    assert set(ids.values()) <= {1}
    used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', text))
    assert used <= set(ids), "a reference to nothing"
