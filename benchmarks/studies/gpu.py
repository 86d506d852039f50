"""Proofs on a GPU: whether they work on this machine, and what they gain over its CPU.

    python -m benchmarks.studies.gpu OUT                 the whole check, some 8 minutes
    python -m benchmarks.studies.gpu OUT --rehearse      small sizes, without a GPU, with fakes
    python -m benchmarks.studies.gpu OUT --only doctor gpu_batch      some of the steps

Every step writes what it found into ``OUT/gpu.json`` at once, so that a check that is cut off
leaves all that was measured until then. A step that fails is recorded with its error, and the
others go on. The exit code is 1 if a step failed. The fakes are in tests/fakes/gpu.

Guests hash long inputs, because the length of the input sets the cycles.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import struct
import subprocess
import sys
import threading
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

ROOT = Path(__file__).resolve().parents[2]
FAKES = ROOT / "tests" / "fakes" / "gpu"
SHARING = [(4, 1), (4, 2), (1, 1)]
"""Numbers of workers, and of proofs that the GPU makes at once, that are compared."""


@dataclass(frozen=True)
class How:
    """How a batch is proved.

    Attributes:
        leaves: the number of leaves.
        gpus: the number of GPUs; 0 for the CPU.
        po2: the size of the largest segment, as a power of two.
        segments: the number of segments of a leaf, about.
        workers: the number of workers.
        at_once: the number of proofs that the GPU makes at once.
    """

    leaves: int
    gpus: int
    po2: int
    segments: int = 1
    workers: str = "auto"
    at_once: int = 1


class Check:
    """One check of a machine.

    Args:
        out: the folder for figures, logs and batches.
        rehearse: whether the fakes stand in for a GPU.
        only: the names of the steps that are done; all, if there are none.
    """

    def __init__(self, out: Path, *, rehearse: bool, only: Sequence[str] = ()) -> None:
        self.out = out
        self.only = only
        self.rehearse = rehearse
        self.sizes = [16] if rehearse else [16, 17, 18, 19, 20]
        self.found: dict[str, Any] = {}
        self.failed: list[str] = []
        self._began = time.monotonic()

    def step(self, name: str, work: Callable[[], object]) -> None:
        """Do one step, and write what it found or why it failed."""
        if self.only and name not in self.only:
            return
        clock = time.monotonic()
        try:
            self.found[name] = work()
        except Exception as error:  # noqa: BLE001  # the other steps are wanted all the same
            self.failed.append(name)
            self.found[name] = {"error": f"{type(error).__name__}: {error}"}
            traceback.print_exc()
        self.found.setdefault("seconds", {})[name] = round(time.monotonic() - clock, 2)
        self.found["failed"] = self.failed
        text = json.dumps(self.found, indent=1, default=str)
        (self.out / "gpu.json").write_text(f"{text}\n")
        shown = json.dumps(self.found[name], default=str)
        print(f"[{time.monotonic() - self._began:6.1f} s] {name}: {shown[:900]}", flush=True)

    def run_all(self) -> None:
        """Do all steps, the most telling ones first."""
        self.step("machine", machine)
        if not self.rehearse:
            self.step("kernel", lambda: self.python("-m", "benchmarks.studies.gpu_probe", "kernel"))
        self.step("doctor", lambda: self.python("-m", "runner.doctor", "--json"))
        self.step("gpu_leaf", lambda: self.sizes_of("runner_risc0_cuda", self.sizes[-1:], rounds=2))
        self.step("gpu_sizes", lambda: self.sizes_of("runner_risc0_cuda", self.sizes, rounds=3))
        self.step("gpu_batch", lambda: self.batch("gpu", leaves=self.leaves, gpus=1))
        self.step("gpu_out_of_memory", self.out_of_memory)
        self.step(
            "gpu_segments", lambda: self.batch("long", leaves=1, gpus=1, segments=self.segments)
        )
        self.step("gpu_same", lambda: self.batch("gpu-same", **self.both, gpus=1))
        self.step("cpu_sizes", lambda: self.sizes_of("runner_risc0", self.sizes[::2], rounds=1))
        self.step("cpu_batch", lambda: self.batch("cpu", **self.both, gpus=0, workers="4"))
        self.step("gpu_sharing", self.sharing)

    @property
    def leaves(self) -> int:
        """The leaves of a batch on the GPU."""
        return 2 if self.rehearse else 16

    @property
    def segments(self) -> int:
        """How much longer than a segment a long run is, about."""
        return 2 if self.rehearse else 16

    @property
    def both(self) -> dict[str, int]:
        """The batch that both the GPU and the CPU prove."""
        return {"leaves": 2 if self.rehearse else 4}

    # -- the steps -------------------------------------------------------------------------------

    def sizes_of(self, module: str, sizes: list[int], rounds: int) -> Any:  # noqa: ANN401  # JSON
        """The seconds of one proof of one segment, by its size, in a process of its own."""
        return self.python(
            "-m", "benchmarks.studies.gpu", "--prove", module, str(rounds), *map(str, sizes)
        )

    def batch(self, name: str, **settings: Any) -> dict[str, Any]:  # noqa: ANN401  # see `How`
        """Prove one batch by the runner, verify it, and return the record's figures."""
        how = How(**{"po2": self.sizes[-1], **settings})
        inputs = self.out / f"{name}.jsonl"
        size = how.segments * data_bytes(how.po2)
        with inputs.open("w") as file:
            for number in range(how.leaves):
                file.write(json.dumps({"data": f"{name} {number} ".ljust(size, "x")}) + "\n")
        folder, textfile = self.out / f"batch-{name}", self.out / f"{name}.prom"
        command = ["-m", "runner", "guest=sha256", f"guest.inputs_file={inputs}"]
        command += ["strategy=single", f"prover.gpus={how.gpus}"]
        command += [f"prover.gpu_proofs={how.at_once}", f"prover.segment_po2={how.po2}"]
        command += [f"executor.workers={how.workers}", "cache=off", f"metrics.textfile={textfile}"]
        command += [f"output={folder}", "progress=none"]
        with sampled() as samples:
            self.python(*command, log=f"{name}.log")
        verified = self.python("-m", "runner.verify", str(folder), log=f"{name}-verify.log")
        record = json.loads((folder / "result.json").read_text())
        metrics = textfile.read_text().splitlines()
        busy = [one for one in samples if one[2] > 0]
        span = (busy[0][0], busy[-1][0]) if busy else (0.0, 0.0)
        proving = [one[2] for one in samples if span[0] <= one[0] <= span[1]]
        inputs.unlink()
        return {
            "summary": record["summary"],
            "gpus": record["gpus"],
            "utilization_while_proving": sum(proving) / len(proving) if proving else None,
            "proving_s": span[1] - span[0],
            "most_memory_bytes": max((one[3] for one in samples), default=0),
            "metrics": [line for line in metrics if line.startswith(("l2_gpu", "l2_cuda"))],
            "verified": "VERIFIED" in str(verified),
        }

    def out_of_memory(self) -> dict[str, Any]:
        """Prove batches while another process has nearly all of the GPU's memory.

        With the first amount left, the library reports the failure, and with the second it ends the
        process.
        """
        found = {}
        for left_mib in (1024, 256):
            name = f"full-{left_mib}"
            with self.memory_taken(left_mib):
                one = self.batch(name, leaves=2, gpus=1, workers="1", po2=self.sizes[:2][-1])
            log = (self.out / f"{name}.log").read_text()
            one["log"] = [line for line in log.splitlines() if "set aside" in line]
            found[f"{left_mib} MiB left"] = one
            if "l2_gpus_set_aside 1.0" not in one["metrics"]:
                raise AssertionError(f"the GPU is not set aside: {found}")
        return found

    def sharing(self) -> dict[str, Any]:
        """The same batch with other numbers of workers, and of proofs at once, on the GPU."""
        found = {}
        for workers, at_once in [(1, 1), (2, 1)] if self.rehearse else SHARING:
            name = f"{workers} workers, {at_once} at once"
            one = self.batch(
                f"share-{workers}-{at_once}",
                leaves=2 * self.leaves,
                gpus=1,
                workers=str(workers),
                at_once=at_once,
            )
            found[name] = {
                "wall_s": one["summary"]["wall_s"],
                "proving_s": one["proving_s"],
                "utilization_while_proving": one["utilization_while_proving"],
                "most_memory_bytes": one["most_memory_bytes"],
            }
        return found

    @contextlib.contextmanager
    def memory_taken(self, left_mib: int) -> Iterator[None]:
        if self.rehearse:
            switch = self.out / "fails"
            os.environ["FAKE_GPU_FAILS"] = str(switch)
            switch.write_text("abort" if left_mib < 512 else "fail")
            yield
            switch.unlink()
            return
        command = [sys.executable, "-m", "benchmarks.studies.gpu_probe", "hold", str(left_mib)]
        with subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as holder:
            assert holder.stdout is not None
            print(holder.stdout.readline().strip(), flush=True)
            try:
                yield
            finally:
                holder.communicate("")

    # -- running -----------------------------------------------------------------------------------

    def python(self, *arguments: str, log: str = "") -> Any:  # noqa: ANN401  # JSON, or text
        """Run Python in the repository, and return its output: as JSON where it is JSON.

        Raises:
            RuntimeError: it ended with an exit code other than 0.
        """
        done = subprocess.run(
            [sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, check=False
        )
        if log:
            (self.out / log).write_text(done.stdout + done.stderr)
        if done.returncode != 0:
            end = (done.stdout + done.stderr)[-1500:]
            raise RuntimeError(f"{' '.join(arguments[:3])} ended with {done.returncode}: {end}")
        with contextlib.suppress(ValueError):
            return json.loads(done.stdout)
        return done.stdout[-1500:]


def data_bytes(po2: int) -> int:
    """How much data to hash for one segment of ``2^po2`` cycles, which this fills by 60 to 70 %.

    A byte costs 1.32 cycles, and the paging of a run some ten thousand.
    """
    return int((0.4 if po2 > 16 else 0.25) * 2**po2)


@contextlib.contextmanager
def sampled(interval_s: float = 0.1) -> Iterator[list[tuple[float, int, float, int]]]:
    """Sample all GPUs: (seconds, index, utilization from 0 to 1, bytes in use)."""
    from runner.gpus import nvml

    samples: list[tuple[float, int, float, int]] = []
    driver, stop = nvml(), threading.Event()
    gpus = driver.gpus() if driver is not None else []

    def watch() -> None:
        assert driver is not None
        while not stop.wait(interval_s):
            for gpu in gpus:
                busy, used, _ = driver.sample(gpu.index)
                samples.append((time.monotonic(), gpu.index, busy, used))

    thread = threading.Thread(target=watch, daemon=True)
    if gpus:
        thread.start()
    try:
        yield samples
    finally:
        stop.set()
        if gpus:
            thread.join()


def machine() -> dict[str, Any]:
    """The machine, its GPUs and its driver."""
    from runner.gpus import nvml, usable
    from runner.limits import cores

    driver = nvml()
    if driver is None:
        raise RuntimeError("there is no NVIDIA driver, or nvidia-ml-py is not installed")
    cpu = ""
    with contextlib.suppress(OSError):
        cpu = next(
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        )
    return {
        "cpu": cpu,
        "cores": cores(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "driver": driver.version(),
        "gpus": [str(gpu) for gpu in usable()],
    }


def prove(module: str, rounds: int, sizes: list[int]) -> dict[str, Any]:
    """Time proofs of one segment of each size, and verify each with the extension for the CPU."""
    import importlib
    import tempfile

    import runner_risc0

    from runner.provers.guests import DEFAULT_FOLDER, Manifest, read_elf

    native = importlib.import_module(module)
    guest = Manifest.load(DEFAULT_FOLDER).get("sha256")
    elf = read_elf(guest)
    found: dict[str, Any] = {"build": native.build_info()}
    with tempfile.TemporaryDirectory() as folder:
        gpu = {"gpu_lock": str(Path(folder) / "lock")} if module != "runner_risc0" else {}
        for po2 in sizes:
            seconds, on_gpu = [], []
            for number in range(rounds):
                data = f"{po2} {number} ".encode().ljust(data_bytes(po2), b"x")
                stdin = struct.pack("<I", len(data)) + data + bytes(-len(data) % 4)
                clock = time.perf_counter()
                proof = native.prove(elf, stdin, [], segment_po2=po2, **gpu)
                seconds.append(round(time.perf_counter() - clock, 3))
                on_gpu.append(round(proof.gpu_s, 3))
                runner_risc0.verify(proof.receipt, guest.image_id)
            found[f"2^{po2}"] = {
                "seconds": seconds,
                "gpu_seconds": on_gpu,
                "cycles": proof.execution.total_cycles,
            }
    return found


def main() -> int:
    """Run the command line and return the exit code."""
    if sys.argv[1:2] == ["--prove"]:
        print(json.dumps(prove(sys.argv[2], int(sys.argv[3]), list(map(int, sys.argv[4:])))))
        return 0
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.studies.gpu",
        description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    parser.add_argument("out", type=Path, help="the folder for figures, logs and batches")
    parser.add_argument("--rehearse", action="store_true", help="use fakes in place of a GPU")
    parser.add_argument("--only", nargs="+", default=[], help="the steps to do, by their names")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    if options.rehearse:
        os.environ["PYTHONPATH"] = os.pathsep.join(
            [str(FAKES), *filter(None, [os.environ.get("PYTHONPATH")])]
        )
        sys.path.insert(0, str(FAKES))
    check = Check(options.out.resolve(), rehearse=options.rehearse, only=options.only)
    check.run_all()
    check.failed += sorted(set(options.only) - check.found.keys())  # there are no such steps
    print(json.dumps(check.found.get("seconds", {})), *check.failed)
    return 1 if check.failed else 0


if __name__ == "__main__":
    sys.exit(main())
