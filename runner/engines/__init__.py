"""Where jobs run, and when a failed job is tried again.

May import: errors.

Other rooms use:

- `processes.py`: the default: worker processes that can be ended one by one.
- `retry.py`: which failures are worth another attempt, how many, and after what wait.

Only this room uses:

- `inline.py`: jobs run one after another in the calling thread, for debugging.
- `dask_engine.py`: jobs run on a Dask cluster.
- `worker_process.py`: the loop inside a worker process, and its watch over its parent.
"""
