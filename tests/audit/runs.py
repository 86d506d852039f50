"""What a run has written into its audit log, and the check of it."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from typing import TYPE_CHECKING, Any

from runner.audit import __main__ as audit
from runner.audit.log import read_log

if TYPE_CHECKING:
    import pytest

    from runner.batch.settings import Settings


def events(settings: Settings) -> list[dict[str, Any]]:
    assert settings.audit is not None
    return [line.fields for line in read_log(settings.audit)]


def counts(settings: Settings) -> Counter[str]:
    return Counter(event["event"] for event in events(settings))


def sealed(settings: Settings) -> dict[str, Any]:
    data: dict[str, Any] = json.loads((settings.output / "result.json").read_text())["audit"]
    return data


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def check(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str]:
    """Run the checker. Returns its exit code and its one line of output."""
    capsys.readouterr()
    code = audit.main([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    assert (out + err).count("\n") == 1
    assert bool(out) == (code == 0)
    return code, out + err
