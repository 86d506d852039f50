"""Each claim of ``docs/threat-model.md`` names a test, and each of these tests exists."""

from __future__ import annotations

import ast
import re
from functools import cache

import pytest

from runner.files import SHIPPED

PAGE = (SHIPPED / "docs" / "threat-model.md").read_text(encoding="utf-8")
TABLE = re.compile(r"^\| claim \| test \|\n\| --- \| --- \|\n((?:\|.*\n?)+)", re.MULTILINE)
CLAIM = re.compile(r"\| (?P<claim>[^|]+\.) \| `(?P<file>tests/[\w/]+\.py)::(?P<name>\w+)` \|")
ROWS = [row for table in TABLE.findall(PAGE) for row in table.splitlines()]


@cache
def names_in(file: str) -> frozenset[str]:
    tree = ast.parse((SHIPPED / file).read_text(encoding="utf-8"))
    names = (node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))
    return frozenset(name for name in names if name.startswith("test_"))


@pytest.mark.parametrize("row", ROWS)
def test_a_claim_names_a_test_that_exists(row: str) -> None:
    found = CLAIM.fullmatch(row)
    assert found is not None, "a claim is a sentence, and beside it stands one test"
    assert (SHIPPED / found["file"]).is_file()
    assert found["name"] in names_in(found["file"])


def test_the_page_has_claims_and_every_test_stands_in_a_row() -> None:
    assert len(ROWS) > 30
    assert PAGE.count("::test_") == len(ROWS)
    assert len(set(ROWS)) == len(ROWS)
