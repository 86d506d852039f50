"""Batches of which some leaves fail: what is left of them, and what the verifier says."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

import pytest

from runner.batch.run import run as run_batch
from runner.codec.reads import journal_layout, word_field
from runner.errors import BatchFailedError, InputError, PartialBatchError, VerificationFailedError
from runner.folder import LEAVES, RESULT
from runner.model import ReceiptKind
from runner.plan.inputs import InputSpec
from runner.verify.__main__ import main as verify_main
from tests import builders
from tests.batch.outcomes import metrics
from tests.fakes.prover import ADAPTER
from tests.verify.folders import check, edit_leaves, edit_record, refused

if TYPE_CHECKING:
    from pathlib import Path

    from runner.batch.settings import Settings

GUEST = {"name": "fibonacci", "journal": "u64"}
BAD = (94, 95)


def fibonacci(settings: Settings, inputs: list[int], **changes: object) -> Settings:
    """A batch of the fake fibonacci guest, which fails above 93."""
    chosen: dict[str, Any] = {
        "guest": "fibonacci",
        "spec": InputSpec((word_field("n", "u32"),)),
        "journal": journal_layout(GUEST),
        "inputs": inputs,
        "count": None,
        "config": {"guest": GUEST},
        "executor": builders.executor("continue"),
        "strategy": builders.strategy("two_level", 3),
        "aggregate": "succeeded",
    }
    return dataclasses.replace(settings, **(chosen | changes))


def failed(settings: Settings) -> BatchFailedError:
    with pytest.raises(BatchFailedError) as caught:
        run_batch(settings)
    return caught.value


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / LEAVES).read_text().splitlines()]


def record(folder: Path) -> dict[str, Any]:
    data: dict[str, Any] = json.loads((folder / RESULT).read_text())
    return data


THIRTY = [*range(7), 94, *range(8, 20), 94, *range(21, 29), 95]


def test_one_bad_input_among_thirty_leaves_the_others(settings: Settings) -> None:
    error = failed(fibonacci(settings, [*range(29), 95], aggregate="all"))
    assert error.exit_code == 1
    assert "leaf 29 failed after 1 attempt: guest panicked: fibonacci: n is above 93" in str(error)
    found = lines(settings.output)
    assert [line["index"] for line in found] == list(range(30))
    assert [line["shows"] for line in found[:5]] == ["0", "1", "1", "2", "3"]
    assert found[29] == {
        "index": 29,
        "guest": "fibonacci",
        "input": {"n": 95},
        "missing": "guest panicked: fibonacci: n is above 93 [guest_failed]",
    }
    receipts = {path.name for path in (settings.output / "receipts").iterdir()}
    assert {f"job-{job}.receipt" for job in range(29)} <= receipts


def test_all_failed_leaves_are_named_with_their_reasons(settings: Settings) -> None:
    error = failed(fibonacci(settings, THIRTY, aggregate="all"))
    assert "1 more failed, see result.json" in str(error)
    data = record(settings.output)
    assert data["status"] == "failed"
    assert [(row["leaves"], row["attempts"]) for row in data["failures"]] == [
        ([7, 20], 1),
        ([29], 1),
    ]
    assert all("n is above 93" in row["reason"] for row in data["failures"])


@pytest.mark.parametrize("strategy", ["single", "two_level", "none"])
def test_what_succeeded_is_aggregated_and_verified(
    settings: Settings, guests: Path, strategy: str, capsys: pytest.CaptureFixture[str]
) -> None:
    chosen = builders.strategy(strategy, 3)
    error = failed(fibonacci(settings, THIRTY, strategy=chosen))
    assert isinstance(error, PartialBatchError)
    assert error.exit_code == 1
    assert "3 of 30 leaves failed: leaf 7: guest panicked" in str(error)
    said = capsys.readouterr().out
    assert "LEAVES MISSING" in said
    assert "[guest_failed]" in said.replace("\n", "")
    assert "0, 1, 1 and 24 more" in said
    verified = check(settings.output, guests)
    assert verified.claims.count == 27
    assert sorted(verified.claims.missing) == [7, 20, 29]
    data = record(settings.output)
    assert (data["status"], data["summary"]["leaves"]) == ("partial", 27)
    assert len(data["plan"]["leaves"]) == 27
    assert {job["id"] for job in data["jobs"]} == set(range(len(data["jobs"])))
    assert metrics(settings)["l2_last_run_exit_status"] == 1
    if strategy == "none":
        return
    assert data["root"]["verified_count"] == 27
    assert not (settings.output / "receipts").exists()
    assert verified.inclusion(28).holds()
    assert verified.inclusion(8).journal == (21).to_bytes(8, "little")
    with pytest.raises(InputError, match="not in the batch: guest panicked"):
        verified.inclusion(20)
    with pytest.raises(InputError, match="give 0 to 29"):
        verified.inclusion(30)


def test_the_verifier_says_what_is_missing(
    settings: Settings, guests: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    failed(fibonacci(settings, THIRTY))
    capsys.readouterr()
    words = [str(settings.output), "--guests", str(guests), "--adapter", ADAPTER]
    assert verify_main(words) == 0
    said = capsys.readouterr().out
    assert "not in the batch, the run's own word: leaf 20: guest panicked" in said
    assert "VERIFIED: 27 leaves of the 30 asked for" in said
    assert f"{LEAVES}: missing" in said
    assert verify_main([*words, "--json"]) == 0
    assert sorted(json.loads(capsys.readouterr().out)["missing"]) == ["20", "29", "7"]


def test_nothing_can_be_hidden_or_made_up(settings: Settings, guests: Path) -> None:
    failed(fibonacci(settings, THIRTY))
    edit_record(settings.output, lambda data: data.update(status="ok"))
    assert "status" in str(refused(settings.output, guests))
    edit_record(settings.output, lambda data: data.update(status="partial"))
    check(settings.output, guests)

    def hide(found: list[dict[str, Any]]) -> None:
        found[3] = {"index": 3, "guest": "fibonacci", "input": {"n": 3}, "missing": "lost"}

    edit_leaves(settings.output, hide)
    assert "plan" in str(refused(settings.output, guests))


def test_a_whole_batch_does_not_say_that_it_is_partial(settings: Settings, guests: Path) -> None:
    run_batch(fibonacci(settings, list(range(9))))
    edit_record(settings.output, lambda data: data.update(status="partial"))
    with pytest.raises(VerificationFailedError, match="status"):
        check(settings.output, guests)


def test_where_all_leaves_fail_there_is_no_result(settings: Settings) -> None:
    error = failed(fibonacci(settings, [94, 95]))
    assert not isinstance(error, PartialBatchError)
    assert record(settings.output)["status"] == "failed"
    assert not (settings.output / LEAVES).exists()


def test_an_executed_batch_goes_on_as_well(settings: Settings) -> None:
    prover = builders.prover(ReceiptKind.EXECUTE)
    error = failed(fibonacci(settings, THIRTY, prover=prover))
    assert isinstance(error, PartialBatchError)
    assert record(settings.output)["root"]["verified_count"] == 27


def test_the_same_command_finds_the_others_in_the_cache(settings: Settings) -> None:
    failed(fibonacci(settings, THIRTY))
    again = dataclasses.replace(settings, output=settings.output.with_name("again"))
    failed(fibonacci(again, THIRTY))
    data = record(again.output)
    assert all(job["cached"] for job in data["jobs"])
