"""Measurements that a person runs by hand. Each answers one question and prints what it found.

Files:

- `audit_cost.py`: what the audit log adds to a batch.
- `builds.py`: real proofs by several builds of the extension, such as instruction sets.
- `client_memory.py`: the memory of the runner itself, by the number of leaves.
- `gpu.py`: whether proofs on a GPU work here, and what they gain over the CPU.
- `gpu_probe.py`: a tiny kernel, and taking a GPU's memory; `gpu.py` uses it.
- `metrics_cost.py`: what metrics add to a batch.
- `plain_guests.py`: real proofs of the plain std guests and of ours (``make bench-proof``).
- `provers.py`: real proofs by every prover that this machine has, in one table.
- `runner_overhead.py`: what the runner adds to its jobs, against a plain loop.
- `schedule.py`: how good the schedule of long runs is, in virtual time, and how fast it is made.
- `segments.py`: real long runs, cut and proved by several workers, against one process.
- `threads.py`: two threads in one proof against two workers, and what follows for more cores.
- `scale.py`: time and memory of large plans and large batches.
- `batches.py`: runs one batch in this process; several studies use it.
- `long_batches.py`: batches of one long leaf as commands, killed or not; `segments.py` uses it.
- `machines.py`: simulated machines, and the bytes on their links; `schedule.py` uses it.
- `stopwatches.py`: measures functions from outside; several studies use it.

Run one as ``python -m benchmarks.studies.NAME``. What was found stands in docs/figures/.
"""
