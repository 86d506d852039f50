"""The files in ``deploy/cluster`` are what Kubernetes, Dask and the runner themselves take."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from runner.files import SHIPPED
from tests.certificates import make_certificates

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CLUSTER = SHIPPED / "deploy" / "cluster"
MANIFESTS: list[dict[str, Any]] = list(
    yaml.safe_load_all((CLUSTER / "kubernetes.yaml").read_text(encoding="utf-8"))
)


def containers() -> Iterator[dict[str, Any]]:
    for manifest in MANIFESTS:
        template = manifest.get("spec", {}).get("template")
        if template is not None:
            yield from template["spec"]["containers"]


@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda one: str(one["kind"]))
def test_a_manifest_keeps_the_schema_of_kubernetes(manifest: dict[str, Any]) -> None:
    validator = pytest.importorskip("kubernetes_validate")
    validator.validate(manifest, "1.34", strict=True)


def test_a_manifest_that_breaks_the_schema_is_seen() -> None:
    validator = pytest.importorskip("kubernetes_validate")
    (broken,) = [one for one in MANIFESTS if one["kind"] == "Service"]
    with pytest.raises(validator.ValidationError):
        validator.validate({**broken, "spec": {"ports": [{"port": "x"}]}}, "1.34", strict=True)


def test_every_container_is_locked_and_speaks_tls() -> None:
    found = list(containers())
    assert [one["name"] for one in found] == ["scheduler", "worker", "client"]
    for one in found:
        locked = one["securityContext"]
        assert locked["readOnlyRootFilesystem"]
        assert not locked["allowPrivilegeEscalation"]
        assert any("/tls/ca.pem" in argument for argument in one["args"])


@pytest.mark.parametrize("name", ["scheduler", "worker"])
def test_dask_takes_the_arguments(name: str) -> None:
    pytest.importorskip("distributed")
    from distributed.cli import dask_scheduler, dask_worker

    (one,) = [one for one in containers() if one["name"] == name]
    command, *rest = one["command"][1:]
    assert command == name
    main = {"scheduler": dask_scheduler.main, "worker": dask_worker.main}[name]
    arguments = [argument for argument in [*rest, *one["args"]] if "tls-" not in argument]
    main.make_context(name, arguments)  # the certificates are files that need to exist


def test_the_runner_takes_the_arguments(tmp_path: Path) -> None:
    (one,) = [one for one in containers() if one["name"] == "client"]
    done = subprocess.run(
        [sys.executable, *one["command"][1:], *one["args"], "--cfg", "job"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={"PYTHONPATH": str(SHIPPED), "PATH": "", "HOME": str(tmp_path)},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "url: s3://batches/store" in done.stdout


def test_slurm_is_given_a_script_that_starts_a_worker_with_tls(tmp_path: Path) -> None:
    pytest.importorskip("dask_jobqueue", reason="it makes the scripts for Slurm")
    make_certificates(tmp_path)
    done = subprocess.run(
        [
            *(sys.executable, str(CLUSTER / "slurm.py"), "--tls", str(tmp_path)),
            *("--partition", "compute", "--slots", "3", "--directive=--account=me", "--show"),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for words in ("#SBATCH -p compute", "#SBATCH --account=me", "--nthreads 3", "tls://"):
        assert words in done.stdout
    assert f"--tls-key {tmp_path}/key.pem" in done.stdout
