"""Stand-ins at the runner's protocols.

Nothing is imported here, so that a worker loads only what it runs.

- `prover.py`: a prover without a zkVM, whose receipts really can fail to verify.
- `long_prover.py`: the same prover, whose runs may have several segments.
- `behaviours.py`: what the fake prover does on demand, in every process, and what it did.
- `guests.py`: guest programs that are files with a name in them.
- `jobs.py`: the jobs of a plan in memory, their outcomes, and an observer that keeps every event.
- `clock.py`: a clock that is told the time.
- `calls.py`: functions to submit to an engine.
"""
