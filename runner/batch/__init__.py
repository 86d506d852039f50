"""One run of one batch: prepared, attempted, recorded, summed up; and the dry run.

May import: audit, cache, engines, errors, events, executor, files, folder, metric_table, metrics,
model, monitoring, plan, provers, text.

Other rooms use:

- `run.py`: wires a run from its settings, runs it and leaves its outputs.
- `settings.py`: all that one run needs to know, as plain values.
- `identity.py`: what a result was made from; tells whether a finished one may stand for a new run.
- `dry_run.py`: says what a run would do, and does nothing.

Only this room uses:

- `prepare.py`: from settings to a batch; finds everything that can be wrong before any proof.
- `batch.py`: the batch itself: its leaves, its plan, and the job behind each node.
- `attempt.py`: one attempt at a batch: source and sink of its jobs, and the check of the root.
- `lookup.py`: the proof cache as a run sees it: jobs in, verified outcomes out.
- `spool.py`: the run's own receipts on disk, which no cache eviction can take away.
- `recording.py`: counts what happens during the run into its metrics.
- `last_run.py`: the gauges that describe the last run.
- `record.py`: the contents of ``result.json`` and ``leaves.jsonl``.
- `outputs.py`: writes record, receipts and metrics, also for a run that failed.
- `summary.py`: measured figures of a finished batch beside the model's, and the closing table.
- `forecast.py`: what a run would prove or find in the cache, job by job.
- `dry_run_report.py`: what a dry run says, for people and for machines.
"""
