"""Brings the root of a verified batch onto an L1, once, and says what has become of it.

May import: audit, errors, evm, files, folder, locks, metric_table, metrics, model, monitoring,
plan, streams, text, verify.

Other rooms use:

- `run.py`: a run's own submission, and what is checked of it before any proof.
- `settings.py`: the settings, checked.
- `foresee.py`: what a dry run says of the root on an L1.

Only this room uses:

- `__main__.py`: the command ``python -m runner.l1``.
- `batch.py`: what a finished batch submits, once every check of it has passed.
- `engine.py`: the transaction engine, which loses no transaction and sends none twice.
- `fees.py`: what a transaction offers for a unit of gas.
- `figures.py`: what the L1 leaves in the metrics and in the audit log.
- `gas.py`: what a batch costs on the chain, and what its leaves would have cost one by one.
- `observer.py`: looks at the chain for what has become of a submission.
- `reach.py`: the chain and the registry that the settings name.
- `record.py`: the record of a batch on an L1.
- `session.py`: wires a submission from its settings.
- `store.py`: submissions and their transactions on disk.
- `submission.py`: what is submitted and what has become of it, as plain values.
- `submit.py`: one attempt to bring a batch onto a chain, with all that it leaves.
"""
