"""What is done with one job: its entry in a cache, and its way to a machine elsewhere and back.

May import: cache, engines, errors, limits, model, provers, store, untrusted.

Other rooms use:

- `entries.py`: a job's key in a cache, what its proof was made from, and the check before its use.
- `site.py`: what a worker elsewhere needs for the jobs of a batch, by digests.
- `elsewhere.py`: what a worker elsewhere does with one job.
- `placement.py`: where a job's bytes are or will be needed, and which machine has room.
- `facts.py`: what a worker elsewhere must have in common with the runner.
"""
