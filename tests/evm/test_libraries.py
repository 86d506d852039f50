"""The libraries of the L1 change nothing that the rest of the runner relies on."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import sys
before = sys.getrecursionlimit()
import runner.l1.__main__
from runner.evm.keys import DEV_KEY, LocalKey
from runner.evm.registry import deployment
LocalKey(DEV_KEY), deployment()
assert "py_ecc" in sys.modules, "the library that raises the limit is not there any more"
assert sys.getrecursionlimit() == before
from runner.untrusted import parse_json
for text in ("[" * 200_000, '{"a":' * 200_000):
    try:
        parse_json(text)
    except ValueError as error:
        assert "nested too deeply" in str(error)
    else:
        raise AssertionError("it was read")
"""


def test_deeply_nested_json_is_refused_with_the_libraries_loaded() -> None:
    done = subprocess.run(
        [sys.executable, "-c", CODE], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr[-2000:]


def test_this_process_has_its_own_limit_of_recursion() -> None:
    """A test that imports one of the libraries itself would change it for all tests after it."""
    assert sys.getrecursionlimit() < 50_000
