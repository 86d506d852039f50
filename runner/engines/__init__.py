"""Where jobs run, and when a failed job is tried again.

May import: errors, lifeline, limits, stopping, store, text, threads.

Other rooms use:

- `engine.py`: the base class of all engines, and the sharing of a host's cores among jobs.
- `machine.py`: facts about the machine that this process runs on.
- `station.py`: what a run has on a worker of a cluster, and how a job there shares the machine.
- `retry.py`: which failures are worth another attempt, how many attempts, and after what wait.

Only this room uses:

- `processes.py`: the default engine, whose worker processes can be ended one by one.
- `inline.py`: the engine that runs jobs in the calling thread, for debugging.
- `pool.py`: the engine over any pool of ``concurrent.futures`` that the user has.
- `dask_engine.py`: the engine that runs jobs on a Dask cluster.
- `dask_cluster.py`: the connection to a Dask cluster, and to its scheduler when it comes back.
- `dask_fleet.py`: who has joined a Dask cluster, who may work, and who is lost.
- `start.py`: what the start of a worker process depends on, and why one failed.
- `worker_process.py`: the loop inside a worker process, and its watch over the parent process.
"""
