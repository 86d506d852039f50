"""Where jobs run, and when a failed job is tried again.

May import: errors.

Other rooms use:

- `engine.py`: what an engine is, and how its hosts share their cores among jobs.
- `machine.py`: the machine that this process runs on: processor, cores, memory, packages.
- `retry.py`: which failures are worth another attempt, how many, and after what wait.

Only this room uses:

- `processes.py`: the default engine: worker processes that can be ended one by one.
- `inline.py`: jobs run one after another in the calling thread, for debugging.
- `dask_engine.py`: jobs run on a Dask cluster.
- `worker_process.py`: the loop inside a worker process, and its watch over its parent.
"""
