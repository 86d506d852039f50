"""Whole batches, with the command itself, on a cluster of real processes with a shared store."""

from __future__ import annotations

import os
import shutil
import signal
from collections import Counter
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("distributed", reason="a cluster needs the dask extra")

from tests.batch.clients import Client, metrics, proofs, stored
from tests.builders import stdin
from tests.certificates import Certificates, make_certificates
from tests.engines.cases import PATIENCE_S, until
from tests.engines.machines import ROOT, Machines
from tests.fakes.behaviours import FOLDER_VARIABLE, Behaviours, Run
from tests.fakes.long_prover import ADAPTER as LONG_ADAPTER
from tests.fakes.prover import ADAPTER

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(shutil.which("openssl") is None, reason="TLS needs certificates"),
]


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    return make_certificates(tmp_path / "tls")


@pytest.fixture
def machines(
    tmp_path: Path, certificates: Certificates, behaviours: Behaviours
) -> Iterator[Machines]:
    """A scheduler that speaks nothing but TLS. Workers count their proofs in ``behaviours``."""
    ca, cert, key = map(str, certificates)
    security = ("--tls-ca-file", ca, "--tls-cert", cert, "--tls-key", key)
    with Machines(tmp_path, security, "tls") as started:
        started.start_scheduler()
        yield started


@pytest.fixture
def client(tmp_path: Path, machines: Machines, certificates: Certificates, guests: Path) -> Client:
    return Client(tmp_path, machines, certificates, guests)


def checked(client: Client, name: str, guests: Path) -> str:
    return client.check(name, "--adapter", ADAPTER, "--guests", str(guests))


def test_a_client_that_is_killed_and_started_again_proves_nothing_twice_that_was_stored(
    machines: Machines, client: Client, behaviours: Behaviours, guests: Path, tmp_path: Path
) -> None:
    machines.start_worker("first")
    machines.start_worker("second")
    behaviours.hold(stdin(5))
    with client.start("killed") as process:
        until(lambda: stored(tmp_path) == 5 and proofs(behaviours)[stdin(5).hex()] == 1)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    behaviours.release(stdin(5))
    # What the worker had begun goes on without the client, and is stored.
    until(lambda: stored(tmp_path) == 6)
    code, text = client.run("again")
    assert code == 0, text
    assert set(proofs(behaviours).values()) == {1}
    assert checked(client, "again", guests) == "ok"
    assert "1 made, 6 from cache" in text  # only the aggregation was left


def test_a_worker_that_loses_its_power_in_the_middle_costs_one_attempt(
    machines: Machines, client: Client, behaviours: Behaviours, guests: Path, tmp_path: Path
) -> None:
    machines.start_worker("first")
    behaviours.hold(stdin(3))
    with client.start("batch") as process:
        until(lambda: proofs(behaviours)[stdin(3).hex()] == 1)
        machines.start_worker("second")
        machines.kill("first")
        until(lambda: proofs(behaviours)[stdin(3).hex()] == 2)
        behaviours.release(stdin(3))
        text, _ = process.communicate(timeout=3 * PATIENCE_S)
    assert process.returncode == 0, text
    assert checked(client, "batch", guests) == "ok"
    counted = proofs(behaviours)
    assert counted.pop(stdin(3).hex()) == 2
    assert set(counted.values()) == {1}


def test_segments_of_a_long_run_while_one_worker_dies_and_one_freezes(
    machines: Machines, client: Client, behaviours: Behaviours, guests: Path, tmp_path: Path
) -> None:
    for name in ("first", "second", "third"):
        machines.start_worker(name)
    held = {5, 9}
    for index in held:
        behaviours.hold(b"%d" % index)
    inputs = ["!long 24 leaf", *(f"short {number}" for number in range(9))]
    arguments = [
        *(f"prover.adapter={LONG_ADAPTER}", "guest.count=null", f"guest.inputs={inputs}"),
        *("executor.engine.lost_s=6", "metrics=textfile"),
        f"metrics.textfile={tmp_path}/runner.prom",
    ]
    with client.start("batch", *arguments) as process:
        until(lambda: held <= segments(behaviours).keys())
        at_work = {int(bytes.fromhex(run.stdin)): run.pid for run in segment_runs(behaviours)}
        lost = [machines.name_of(at_work[index]) for index in held]
        assert len(set(lost)) == 2
        machines.kill(lost[0])
        machines.freeze(lost[1])
        for index in held:
            behaviours.release(b"%d" % index)
        text, _ = process.communicate(timeout=3 * PATIENCE_S)
    assert process.returncode == 0, text
    checks = ("--adapter", LONG_ADAPTER, "--guests", str(guests))
    assert client.check("batch", *checks) == "ok"
    # What was proved and stored is not proved again, and what was begun twice counts once.
    begun = segments(behaviours)
    assert begun.keys() == set(range(24))
    assert {index for index, times in begun.items() if times != 1} == held
    assert {begun[index] for index in held} == {2}
    found = metrics(tmp_path)
    assert found["l2_segment_proofs_total"] == 24
    assert found["l2_long_runs_total"] == 1
    assert found["l2_proof_generation_total"] == 11
    # The segments have gone through the store, and none is left there or on the client's disk.
    assert not list((tmp_path / "segments").glob("*/*"))
    blobs = [blob.read_bytes() for blob in (tmp_path / "store" / "blobs").glob("??/*")]
    assert not [blob for blob in blobs if blob.startswith(b'{"image"')]


def segment_runs(behaviours: Behaviours) -> list[Run]:
    return [run for run in behaviours.runs() if run.guest == "segment"]


def segments(behaviours: Behaviours) -> Counter[int]:
    """How often the proof of each segment was begun, by its position."""
    return Counter(int(bytes.fromhex(run.stdin)) for run in segment_runs(behaviours))


def test_what_is_wrong_with_a_cluster_is_one_line_before_any_proof(
    machines: Machines, client: Client, behaviours: Behaviours, tmp_path: Path
) -> None:
    other = make_certificates(tmp_path / "others")
    tls = f"executor.engine.tls.ca_file={other.ca}"
    short = "executor.engine.wait_s=2"
    bad = [
        ([tls, short], "executor.engine.address"),
        (["executor.engine.address=tls://127.0.0.1:1", short], "no Dask scheduler answers"),
        (["executor.engine.wait_s=0.5"], "the cluster has no worker"),
        (["executor.engine.tls.ca_file=/nosuch"], "there is no such file"),
        ([f"store.url={tmp_path / 'tls' / 'ca.pem'}"], "store.url"),
    ]
    for number, (arguments, words) in enumerate(bad):
        code, text = client.run(f"bad-{number}", "log_level=error", *arguments)
        assert code == 2, text
        lines = [line for line in text.splitlines() if line.strip()]
        assert len(lines) == 1, text
        assert words in lines[0]
    assert behaviours.runs() == []


def test_workers_without_the_extension_are_one_line_with_the_remedy(
    machines: Machines, client: Client, tmp_path: Path
) -> None:
    pytest.importorskip("runner_risc0", reason="the client has the extension")
    hidden = tmp_path / "hidden" / "runner_risc0"
    hidden.mkdir(parents=True)
    (hidden / "__init__.py").write_text(
        "raise ModuleNotFoundError('it is not here', name='runner_risc0')\n"
    )
    machines.start_worker("without", PYTHONPATH=os.pathsep.join([str(hidden.parent), str(ROOT)]))
    until(lambda: "Registered to" in machines.log("without"))
    given = ["prover=execute", "prover.adapter=risc0", "prover.kind=execute", "guests=null"]
    wait = "executor.engine.wait_s=12"  # a machine with much to do looks for seconds
    code, text = client.run("batch", *given, "log_level=error", wait)
    assert code == 2, text
    (line,) = [line for line in text.splitlines() if line.strip()]
    assert "no worker that may work" in line
    assert "runner_risc0 is not installed" in line


def test_two_batches_on_one_cluster_share_its_workers_and_the_store(
    machines: Machines, client: Client, behaviours: Behaviours, guests: Path
) -> None:
    machines.start_worker("first", "--nthreads", "2")
    with client.start("one") as one, client.start("two", "guest.count=8") as two:
        texts = [one.communicate(timeout=3 * PATIENCE_S)[0], two.communicate()[0]]
    assert (one.returncode, two.returncode) == (0, 0), texts
    assert [checked(client, name, guests) for name in ("one", "two")] == ["ok", "ok"]
    assert len(proofs(behaviours)) == 8


def test_the_environment_of_workers_is_their_own(behaviours: Behaviours) -> None:
    """The tests above count proofs in a folder that the workers know from their environment."""
    assert os.environ[FOLDER_VARIABLE] == str(behaviours.folder)
