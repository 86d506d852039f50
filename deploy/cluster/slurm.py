"""Starts a Dask scheduler here and its workers as jobs of Slurm, until it is stopped.

Run it on a login node that the compute nodes reach, with `pip install dask-jobqueue`:

    python deploy/cluster/slurm.py --tls /shared/tls --partition compute --nodes 8

It prints the address for `executor.engine.address`. Every option of a job that a site asks for can
be given as `--directive=--account=NAME`. With `--show`, it prints a job's script and ends.
"""

from __future__ import annotations

import argparse
import signal
from pathlib import Path

from distributed.security import Security


def main() -> None:
    """Start the cluster, and end it with SIGINT or SIGTERM."""
    parser = argparse.ArgumentParser(description="A Dask cluster of Slurm jobs.")
    parser.add_argument("--tls", type=Path, required=True, help="folder: ca.pem cert.pem key.pem")
    parser.add_argument("--partition", required=True)
    parser.add_argument("--nodes", type=int, default=2, help="the number of jobs")
    parser.add_argument("--cores", type=int, default=16, help="of each node")
    parser.add_argument("--slots", type=int, default=4, help="proofs side by side on a node")
    parser.add_argument("--memory", default="32GiB", help="of each node")
    parser.add_argument("--walltime", default="04:00:00")
    parser.add_argument("--directive", action="append", default=[])
    parser.add_argument("--interface", help="the network between nodes, e.g. ib0")
    parser.add_argument("--show", action="store_true", help="print a job's script and end")
    given = parser.parse_args()

    from dask_jobqueue import SLURMCluster

    files = {name: str((given.tls / f"{name}.pem").resolve()) for name in ("ca", "cert", "key")}
    security = Security(
        tls_ca_file=files["ca"],
        tls_worker_cert=files["cert"],
        tls_worker_key=files["key"],
        tls_scheduler_cert=files["cert"],
        tls_scheduler_key=files["key"],
        tls_client_cert=files["cert"],
        tls_client_key=files["key"],
        require_encryption=True,
    )
    cluster = SLURMCluster(
        queue=given.partition,
        cores=given.slots,  # a thread of the worker is a slot; a proof takes its share of the node
        job_cpu=given.cores,
        processes=1,
        memory=given.memory,
        walltime=given.walltime,
        job_extra_directives=given.directive,
        interface=given.interface,
        protocol="tls://",
        security=security,
        scheduler_options={"dashboard": False},
        # The files are in a folder that all nodes see, so none of them need be copied.
        shared_temp_directory=str(given.tls),
        worker_extra_args=["--no-dashboard"],
    )
    if given.show:
        print(cluster.job_script())
        cluster.close()
        return
    cluster.scale(jobs=given.nodes)
    print(cluster.scheduler_address, flush=True)
    signal.sigwait({signal.SIGINT, signal.SIGTERM})
    cluster.close()


if __name__ == "__main__":
    main()
