"""Whole runs with the fake prover: what they prove, cache and record."""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from runner.batch.run import run as run_batch
from runner.cache.cache import NoCache
from runner.cache.keys import proof_key
from runner.cache.proof_cache import ProofCache
from runner.engines.engine import Host
from runner.engines.inline import InlineEngine
from runner.errors import BatchFailedError, CacheError
from runner.model import ReceiptKind
from runner.provers.guests import Manifest
from tests import builders
from tests.batch.outcomes import made, metrics, record
from tests.builders import stdin
from tests.cache.entries import blob_at, proof_in, rewrite
from tests.fakes.prover import ADAPTER, FakeProver, forged

if TYPE_CHECKING:
    from runner.batch.settings import Settings
    from tests.fakes.behaviours import Behaviours


def test_a_batch_is_proved_aggregated_verified_and_recorded(settings: Settings) -> None:
    summary = run_batch(settings)
    assert (summary.strategy, summary.leaves, made(summary)) == ("single", 6, (7, 0))
    names = {path.name for path in settings.output.iterdir()}
    assert names == {"root.receipt", "leaves.jsonl", "result.json", "SHA256SUMS", ".run.lock"}
    data = record(settings)
    assert data["status"] == "ok"
    assert data["root"]["verified_count"] == 6
    assert [job["id"] for job in data["jobs"]] == list(range(7))
    assert data["summary"]["bytes_after"] == (settings.output / "root.receipt").stat().st_size
    found = metrics(settings)
    assert found["l2_proof_generation_total"] == 7
    assert found["l2_aggregation_total"] == 1
    assert found['l2_aggregation_strategy_total{strategy="single"}'] == 1
    assert found["l2_aggregation_proof_count"] == 6
    # Each by its worker, six of them as children, and the root once more.
    assert found["l2_proof_verification_total"] == 7 + 6 + 1
    assert (found["l2_cache_hits_total"], found["l2_cache_misses_total"]) == (0, 7)
    assert found["l2_errors_total"] == 0
    assert found["l2_parallel_workers_active"] == 0
    assert found["l2_tps_current"] == pytest.approx(summary.tps)
    assert found["l2_tps_current"] == pytest.approx(6 / summary.wall_s)
    assert found["l2_aggregation_batch_seconds_total"] == pytest.approx(summary.wall_s)
    assert found["l2_parallel_workers_limit"] == 2


def test_the_same_batch_again_is_all_hits_each_verified(settings: Settings) -> None:
    run_batch(settings)
    again = dataclasses.replace(settings, output=settings.output.with_name("again"))
    assert made(run_batch(again)) == (0, 7)
    assert record(again)["root"] == record(settings)["root"]
    found = metrics(again)
    # The counters are about both runs, the hit rate is about the last one.
    assert (found["l2_cache_hits_total"], found["l2_cache_misses_total"]) == (7, 7)
    assert found["l2_cache_hit_rate"] == 100
    assert found["l2_proof_generation_total"] == 7
    assert found["l2_proof_verification_total"] == 14 + 7 + 1


def test_another_strategy_reuses_the_leaves(settings: Settings) -> None:
    run_batch(settings)
    other = dataclasses.replace(
        settings, strategy=builders.strategy("two_level", 2), output=Path("x")
    )
    other = dataclasses.replace(other, output=settings.output.with_name("other"))
    summary = run_batch(other)
    assert made(summary) == (4, 6)
    assert record(other)["root"]["combined_hash"] == record(settings)["root"]["combined_hash"]


def test_a_damaged_cache_entry_is_set_aside_and_proved_anew(
    settings: Settings, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run_batch(settings)
    victim = next((tmp_path / "proofs" / "objects").rglob("*/*"))
    rewrite(victim, forged)
    again = dataclasses.replace(settings, output=settings.output.with_name("again"))
    assert made(run_batch(again)) == (1, 6)
    assert list((tmp_path / "proofs" / "quarantine").iterdir())


def replace_proof(cache: ProofCache, key: str, data: bytes) -> None:
    """Put other bytes under a key, with all that the cache says about the entry."""
    entry = cache.get(key)
    assert entry is not None
    assert entry.made_from is not None
    cache.put(
        key,
        data,
        image_id=bytes.fromhex(entry.made_from.image_id),
        kind=ReceiptKind(entry.made_from.kind),
        cycles=entry.cycles,
        prove_s=entry.prove_s,
        origin=entry.made_from.origin,
    )


def test_a_valid_receipt_of_another_run_under_a_key_is_not_a_hit(
    settings: Settings, tmp_path: Path
) -> None:
    """The entry's checksum holds and its receipt verifies, but the journal is another run's.

    The zkVM proves journals and not inputs, so for a leaf only the cache ties one to the other.
    What is caught here is the receipt of another program, an aggregation's, under a leaf's key.
    """
    run_batch(settings)
    root = (settings.output / "root.receipt").read_bytes()
    key = leaf_key(settings, 0)
    with builders.disk_cache(tmp_path / "proofs") as cache:
        replace_proof(cache, key, root)
    again = dataclasses.replace(settings, output=settings.output.with_name("again"))
    summary = run_batch(again)
    assert made(summary) == (1, 6)
    found = metrics(again)
    assert (found["l2_cache_misses_total"], found["l2_errors_total"]) == (7 + 1, 1)


def leaf_key(settings: Settings, index: int) -> str:
    return proof_key(
        zkvm="fake",
        zkvm_version="1.0.0",
        kind=ReceiptKind.COMPOSITE,
        image_id=Manifest.load(settings.guests).get("sha256").image_id,
        stdin=stdin(index),
    )


@pytest.mark.parametrize("with_their_label", [True, False])
def test_two_leaf_receipts_that_change_places_are_no_hits_without_the_index_either(
    with_their_label: bool, settings: Settings, tmp_path: Path
) -> None:
    """Both receipts verify as leaves, and nothing in them says what input the guest read."""
    run_batch(settings)
    proofs = tmp_path / "proofs"
    keys = [leaf_key(settings, index) for index in (0, 1)]
    one, other = (blob_at(proofs, key) for key in keys)
    first, second = one.read_bytes(), other.read_bytes()
    one.write_bytes(second)
    other.write_bytes(first)
    if not with_their_label:  # a forger gives each blob the key that it now has
        for blob, key in zip((one, other), keys, strict=True):
            rewrite(blob, key=key)
    (proofs / "index.sqlite").unlink()
    again = dataclasses.replace(settings, output=settings.output.with_name("again"))
    assert made(run_batch(again)) == (2, 5)
    lists = [(s.output / "leaves.jsonl").read_text() for s in (settings, again)]
    assert lists[0] == lists[1]


def test_another_aggregations_receipt_under_a_key_is_set_aside(
    settings: Settings, tmp_path: Path
) -> None:
    """It verifies against the aggregator, but these children demand another journal."""
    run_batch(settings)
    other = dataclasses.replace(settings, count=7, output=settings.output.with_name("other"))
    run_batch(other)
    ours, theirs = ((s.output / "root.receipt").read_bytes() for s in (settings, other))
    key = next(
        path.name
        for path in (tmp_path / "proofs" / "objects").rglob("*/*")
        if proof_in(path) == ours
    )
    with builders.disk_cache(tmp_path / "proofs") as cache:
        replace_proof(cache, key, theirs)
    again = dataclasses.replace(settings, output=settings.output.with_name("again"))
    assert made(run_batch(again)) == (1, 6)
    assert (again.output / "root.receipt").read_bytes() == ours


def test_a_run_goes_on_without_a_cache_that_fails_in_the_middle(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def gone(self: ProofCache, *_: object, **__: object) -> None:
        raise CacheError("proofs", "disk I/O error")

    monkeypatch.setattr(ProofCache, "get", gone)
    monkeypatch.setattr(ProofCache, "put", gone)
    assert made(run_batch(settings)) == (7, 0)
    assert "not looked up: disk I/O error" in caplog.text
    assert metrics(settings)["l2_errors_total"] == 14


def test_identical_runs_are_proved_once_and_counted_each(settings: Settings) -> None:
    same = dataclasses.replace(settings, inputs=["a", "b", "a", "a", "b", "c"], count=None)
    summary = run_batch(same)
    assert (summary.leaves, summary.distinct, summary.made) == (6, 3, 4)
    assert record(same)["root"]["verified_count"] == 6
    assert len((same.output / "leaves.jsonl").read_text().splitlines()) == 6


def test_evictions_during_a_run_do_not_lose_a_child(settings: Settings) -> None:
    tight = dataclasses.replace(
        settings,
        cache=builders.disk_cache(settings.output.with_name("tight"), max_entries=1),
        strategy=builders.strategy("three_level", 2),
    )
    summary = run_batch(tight)
    assert made(summary) == (6 + 3 + 1 + 1, 0)
    assert metrics(tight)["l2_cache_evictions_total"] == summary.made - 1


def test_without_a_cache_nothing_is_looked_up(settings: Settings) -> None:
    off = dataclasses.replace(settings, cache=NoCache())
    assert made(run_batch(off)) == (7, 0)
    assert metrics(off)["l2_cache_misses_total"] == 0


def test_strategy_none_keeps_and_verifies_every_receipt(settings: Settings) -> None:
    none = dataclasses.replace(settings, strategy=builders.strategy("none"))
    summary = run_batch(none)
    assert (summary.aggregations, summary.bytes_before) == (0, summary.bytes_after)
    receipts = sorted(path.name for path in (none.output / "receipts").iterdir())
    assert receipts == [f"job-{i}.receipt" for i in range(6)]
    assert metrics(none)["l2_aggregation_proof_count"] == 0


def test_execute_mode_proves_caches_and_counts_no_proof(settings: Settings, tmp_path: Path) -> None:
    spec = builders.prover(ReceiptKind.EXECUTE)
    executed = dataclasses.replace(settings, prover=spec)
    summary = run_batch(executed)
    assert (summary.size_savings_percent, summary.tps) == (None, 0.0)
    assert not (tmp_path / "proofs").exists()
    assert not (executed.output / "root.receipt").exists()
    found = metrics(executed)
    assert found["l2_executions_total"] == 7
    for name in ("l2_proof_generation_total", "l2_proof_verification_total", "l2_tps_current"):
        assert found[name] == 0


def test_only_the_root_of_a_groth16_batch_is_groth16(settings: Settings) -> None:
    wrapped = dataclasses.replace(settings, prover=builders.prover(ReceiptKind.GROTH16))
    run_batch(wrapped)
    kinds = [job["kind"] for job in record(wrapped)["jobs"]]
    assert kinds == ["succinct"] * 6 + ["groth16"]


def test_runs_side_by_side_share_the_cache_and_the_totals(
    settings: Settings, tmp_path: Path
) -> None:
    command = [
        *[sys.executable, "-m", "runner", "guest=sha256", "prover.adapter=" + ADAPTER],
        *[f"guests={settings.guests}", "guest.count=20", "executor=inline", "progress=lines"],
        f"metrics.textfile={settings.metrics.textfile}",
    ]
    environment = {**os.environ, "RUNNER_PROOFS": str(tmp_path / "proofs")}
    running = [
        subprocess.Popen(
            [*command, f"output={tmp_path / f'run{i}'}", f"strategy={strategy}"],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for i, strategy in enumerate(["single", "two_level", "three_level", "single"])
    ]
    assert [process.wait(timeout=120) for process in running] == [0] * 4
    results = [json.loads((tmp_path / f"run{i}" / "result.json").read_text()) for i in range(4)]
    assert len({result["root"]["combined_hash"] for result in results}) == 1
    for result in results:
        summary = result["summary"]
        assert summary["made"] + summary["cached"] == 20 + summary["aggregations"]
    found = metrics(settings)
    for name, of in (("proof_generation", "made"), ("cache_hits", "cached")):
        assert found[f"l2_{name}_total"] == sum(result["summary"][of] for result in results)
    # Those of the same strategy may each have made the root or found it, and made it once at least.
    aggregated = found["l2_aggregation_total"]
    assert aggregated + found["l2_aggregation_cached_batches_total"] == 4
    assert aggregated >= 3
    assert found["l2_aggregation_proof_count"] == 20 * aggregated


def test_totals_are_of_all_runs_and_outlive_those_that_fail(
    settings: Settings, behaviours: Behaviours
) -> None:
    first = run_batch(settings)
    succeeded = metrics(settings)["l2_last_run_success_timestamp_seconds"]
    assert succeeded > 0
    others = dataclasses.replace(
        settings, cache=NoCache(), output=settings.output.with_name("failing"), count=20
    )
    behaviours.on("fail", stdin=stdin(17))
    with pytest.raises(BatchFailedError):
        run_batch(others)
    found = metrics(settings)
    assert found["l2_last_run_success_timestamp_seconds"] == succeeded
    assert (found["l2_last_run_exit_status"], found["l2_last_run_leaves"]) == (1, 20)
    assert (found["l2_errors_total"], found["l2_aggregation_proof_count"]) == (1, 6)
    behaviours.clear()
    last = run_batch(dataclasses.replace(others, output=settings.output.with_name("last")))
    found = metrics(settings)
    assert found["l2_last_run_success_timestamp_seconds"] > succeeded
    assert (found["l2_aggregation_total"], found["l2_aggregation_proof_count"]) == (2, 26)
    assert found["l2_tps_current"] == pytest.approx(20 / last.wall_s)
    assert found["l2_tps_average"] == pytest.approx(26 / (first.wall_s + last.wall_s))


@pytest.mark.parametrize(("progress", "lines"), [("none", 0), ("lines", 1)])
def test_progress_can_be_silent(
    progress: str, lines: int, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="runner.monitoring.progress")
    run_batch(dataclasses.replace(settings, progress=progress))
    assert (len([r for r in caplog.records if r.name == "runner.monitoring.progress"]) > 0) == bool(
        lines
    )


def test_the_command_that_checks_a_batch_can_be_pasted(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    output = settings.output.with_name("it's $here; a folder")
    run_batch(dataclasses.replace(settings, output=output))
    command = capsys.readouterr().out.partition("check it with:\n")[2]
    assert shlex.split(command)[:4] == ["python", "-m", "runner.verify", str(output)]


@pytest.mark.parametrize(("worker_bytes", "told"), [(0, False), (10**9, False), (4 * 10**9, True)])
def test_more_workers_than_there_is_memory_for_are_told(
    *,
    worker_bytes: int,
    told: bool,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    class ThreeWorkers(InlineEngine):
        def hosts(self) -> list[Host]:
            return [Host(platform.node(), cores=1, workers=3)]

    monkeypatch.setattr(FakeProver, "worker_bytes", worker_bytes)
    monkeypatch.setattr("runner.batch.run.memory_bytes", lambda: 9 * 10**9)
    run_batch(dataclasses.replace(settings, make_engine=ThreeWorkers))
    words = "3 workers take 12.0 GB of memory at least, and there are 9.0 GB"
    assert (words in caplog.text) == told
    assert ("executor.workers=2 fits" in caplog.text) == told
