"""Whole batches on machines with addresses of their own: scheduler, workers, client, and S3."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("distributed", reason="a cluster needs the dask extra")
pytest.importorskip("s3fs", reason="a bucket needs the s3 extra")
pytest.importorskip("moto.server", reason="it is the S3 server of the tests")

from tests.batch.clients import Client, metrics, proofs
from tests.builders import stdin
from tests.certificates import Certificates, make_certificates
from tests.engines.cases import PATIENCE_S, until
from tests.engines.network import Network, why_no_network
from tests.fakes.prover import ADAPTER

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.fakes.behaviours import Behaviours

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(shutil.which("openssl") is None, reason="TLS needs certificates"),
    pytest.mark.skipif(bool(why_no_network()), reason=why_no_network()),
]

WORKERS = ("first", "second", "third")
SERVER = """
import sys, time
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer(sys.argv[1], 9000, verbose=False)
server.start()
import boto3
boto3.client("s3", endpoint_url=f"http://{sys.argv[1]}:9000").create_bucket(Bucket="batches")
print("ready", flush=True)
time.sleep(3600)
"""


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    return make_certificates(tmp_path / "tls")


@pytest.fixture
def network(
    tmp_path: Path,
    certificates: Certificates,
    behaviours: Behaviours,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Network]:
    """A scheduler and an S3 server, each on a machine of its own."""
    for name, value in {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    ca, cert, key = map(str, certificates)
    security = ("--tls-ca-file", ca, "--tls-cert", cert, "--tls-key", key)
    with Network(tmp_path, security, "tls") as made:
        store = subprocess.Popen(
            [*made.on("store"), sys.executable, "-c", SERVER, made.ip("store")],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        try:
            assert store.stdout is not None
            assert store.stdout.readline() == b"ready\n"
            made.start_scheduler()
            yield made
        finally:
            store.kill()
            store.communicate()


@pytest.fixture
def client(tmp_path: Path, network: Network, certificates: Certificates, guests: Path) -> Client:
    made = Client(tmp_path, network, certificates, guests)
    options = f'{{endpoint_url: "http://{network.ip("store")}:9000"}}'
    made.arguments += ["store.url=s3://batches/store", f"store.options={options}"]
    made.arguments += ["metrics=textfile", f"metrics.textfile={tmp_path}/runner.prom"]
    return made


def jobs_by_host(folder: Path) -> dict[str, float]:
    """The metric of the jobs of the last run, by machine."""
    found = metrics(folder).items()
    return {name.split('"')[1]: value for name, value in found if name.startswith("l2_host_jobs{")}


def test_a_batch_on_three_machines_with_s3_between_them(
    network: Network, client: Client, guests: Path, tmp_path: Path
) -> None:
    for name in WORKERS:
        network.start_worker(name)
    code, text = client.run("batch", "guest.count=30", "strategy=two_level")
    assert code == 0, text
    assert client.check("batch", "--adapter", ADAPTER, "--guests", str(guests)) == "ok"
    done = jobs_by_host(tmp_path)
    assert set(done) <= set(WORKERS)
    assert sum(done.values()) >= 31


def test_most_of_an_aggregations_bytes_are_where_it_runs(
    network: Network, client: Client, tmp_path: Path
) -> None:
    for name in WORKERS:
        network.start_worker(name)
    large = ["guest.count=180", "strategy=two_level", "strategy.fan_in=5"]
    folder = ["store.options={}", f"store.url={tmp_path}/store"]  # all machines see it
    code, text = client.run("batch", *large, *folder)
    assert code == 0, text
    found = metrics(tmp_path)
    fetched, kept = (found[f'l2_store_bytes_total{{way="{way}"}}'] for way in ("fetched", "kept"))
    # Where leaves go to any machine, half of these bytes move: an aggregation of five leaves on
    # three machines then has 2.4 of them where most of them are.
    assert fetched / (fetched + kept) < 0.4


@pytest.mark.parametrize("way", ["both ways", "one way"])
def test_a_machine_whose_link_is_cut_costs_nothing_but_its_own_work(
    network: Network,
    client: Client,
    behaviours: Behaviours,
    guests: Path,
    way: str,
) -> None:
    network.start_worker("first")
    behaviours.hold(stdin(3))
    with client.start("batch", "executor.engine.lost_s=6") as process:
        until(lambda: proofs(behaviours)[stdin(3).hex()] == 1)
        network.start_worker("second")
        until(lambda: len(proofs(behaviours)) == 6)  # the second has done what was left
        if way == "both ways":
            network.cut("first")
        else:
            network.cut_one_way("first", "scheduler")
        until(lambda: proofs(behaviours)[stdin(3).hex()] == 2)
        behaviours.release(stdin(3))
        text, _ = process.communicate(timeout=3 * PATIENCE_S)
    assert process.returncode == 0, text
    assert client.check("batch", "--adapter", ADAPTER, "--guests", str(guests)) == "ok"
    network.mend("first")
    counted = proofs(behaviours)
    assert counted.pop(stdin(3).hex()) == 2
    assert set(counted.values()) == {1}


@pytest.mark.parametrize(
    "how",
    [{"delay_s": 0.05, "jitter_s": 0.01}, {"delay_s": 0.02, "loss": 0.03}],
    ids=["delay", "loss"],
)
def test_a_batch_over_links_that_delay_and_lose(
    network: Network, client: Client, behaviours: Behaviours, guests: Path, how: dict[str, float]
) -> None:
    for name in WORKERS:
        network.spoil(name, **how)
        network.start_worker(name)
    assert network.round_trip_s("scheduler", WORKERS[0]) > 2 * how["delay_s"] - 0.02
    code, text = client.run("batch", "executor.engine.wait_s=180")
    assert code == 0, text
    assert set(proofs(behaviours).values()) == {1}
    assert client.check("batch", "--adapter", ADAPTER, "--guests", str(guests)) == "ok"


def test_a_client_that_is_killed_and_started_again_on_another_machine(
    network: Network, client: Client, behaviours: Behaviours, guests: Path
) -> None:
    for name in WORKERS:
        network.start_worker(name)
    behaviours.hold(stdin(5))
    with client.start("killed") as process:
        until(lambda: len(proofs(behaviours)) == 6)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
    behaviours.release(stdin(5))
    code, text = client.run("again")
    assert code == 0, text
    counted = proofs(behaviours)
    # The one that was held may be looked up before its first proof is stored.
    assert counted.pop(stdin(5).hex()) <= 2
    assert client.check("again", "--adapter", ADAPTER, "--guests", str(guests)) == "ok"


@pytest.mark.real
def test_a_small_real_batch_on_two_machines(
    network: Network, client: Client, tmp_path: Path
) -> None:
    pytest.importorskip("runner_risc0", reason="real proofs need the extension")
    for name in WORKERS[:2]:
        network.start_worker(name)
    real = ["prover=composite", "prover.adapter=risc0", "guests=null", "guest=fibonacci"]
    code, text = client.run("real", *real, "guest.count=6")
    assert code == 0, text
    assert client.check("real") == "ok"
    assert set(jobs_by_host(tmp_path)) <= set(WORKERS[:2])
