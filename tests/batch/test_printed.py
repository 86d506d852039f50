"""What guests print is kept with their leaves, and steers and fills nothing."""

from __future__ import annotations

import dataclasses
import json
import logging
from typing import TYPE_CHECKING

import pytest

from runner.batch.run import run as run_batch
from runner.errors import BatchFailedError
from runner.folder import PRINTED, RESULT
from runner.model import ReceiptKind
from runner.provers.worker import MOST_PRINTED
from tests import builders
from tests.builders import stdin
from tests.fakes import prover as fake

if TYPE_CHECKING:
    from runner.batch.settings import Settings
    from tests.fakes.behaviours import Behaviours

KEPT = "first line\n\\x1b[2J\\x07second \\u202eline\n"


def printed(settings: Settings) -> dict[str, str]:
    return {path.name: path.read_text() for path in (settings.output / PRINTED).iterdir()}


@pytest.mark.parametrize("kind", [ReceiptKind.COMPOSITE, ReceiptKind.EXECUTE])
def test_what_a_guest_prints_is_kept_with_its_leaf(
    settings: Settings, behaviours: Behaviours, caplog: pytest.LogCaptureFixture, kind: ReceiptKind
) -> None:
    behaviours.on("print", stdin=stdin(4))
    caplog.set_level(logging.DEBUG)
    run_batch(dataclasses.replace(settings, prover=builders.prover(kind)))
    assert printed(settings) == {"leaf-4.txt": KEPT}
    said = [record for record in caplog.records if "leaf 4 printed" in record.getMessage()]
    assert [record.levelno for record in said] == [logging.DEBUG]
    assert "first line | \\x1b[2J\\x07second \\u202eline" in said[0].getMessage()
    run_batch(settings)  # by the cache or anew, but what an earlier run printed is not its own
    assert not (settings.output / PRINTED / "leaf-4.txt").exists() or kind is ReceiptKind.EXECUTE


def test_what_a_failed_guest_had_printed_is_shown(
    settings: Settings, behaviours: Behaviours, caplog: pytest.LogCaptureFixture
) -> None:
    behaviours.on("print_and_fail", stdin=stdin(2))
    with pytest.raises(BatchFailedError) as caught:
        run_batch(settings)
    assert printed(settings) == {"leaf-2.txt": KEPT}
    said = [record for record in caplog.records if "printed" in record.getMessage()]
    assert [record.levelno for record in said] == [logging.ERROR]
    # A panic of a megabyte with an escape sequence fills and steers nothing.
    for text in (str(caught.value), *(record.getMessage() for record in caplog.records)):
        assert text.isprintable()
        assert len(text) < 4000
    data = (settings.output / RESULT).read_text()
    assert len(data) < 30_000
    assert json.loads(data)["failures"][0]["reason"].startswith("guest panicked: \\x1b[31mPPP")


def test_it_is_bounded_whatever_the_adapter_hands_over(
    monkeypatch: pytest.MonkeyPatch, settings: Settings, behaviours: Behaviours
) -> None:
    monkeypatch.setattr(fake, "PRINTED", "x" * (2 * MOST_PRINTED))
    behaviours.on("print", stdin=stdin(0))
    run_batch(settings)
    assert len(printed(settings)["leaf-0.txt"]) == MOST_PRINTED


def test_a_folder_that_takes_no_file_fails_no_batch(
    settings: Settings, behaviours: Behaviours, caplog: pytest.LogCaptureFixture
) -> None:
    behaviours.on("print", stdin=stdin(0))
    settings.output.mkdir()
    (settings.output / PRINTED).write_text("a file where the folder would be")
    run_batch(settings)
    assert "what leaf 0 printed cannot be kept" in caplog.text
