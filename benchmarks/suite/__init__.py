"""The benchmarks that ``make bench`` runs, and the things they measure.

Files:

- `bench_cache.py`: the proof cache on disk.
- `bench_executor.py`: whole batches with a prover that takes no time.
- `bench_metrics.py`: metric events, the metrics text and durable writes.
- `bench_native.py`: the zkVM behind the extension: executions, a verification, real proofs.
- `bench_plan.py`: plans and content addresses.
- `builders.py`: makes what is measured. It is also used by `exact/` and `studies/`.
- `conftest.py`: writes machine, versions and commit into a saved run.
"""
