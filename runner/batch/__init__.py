"""One run of one batch, from its settings to its verified result and its outputs; the dry run.

May import: audit, cache, codec, consoles, engines, errors, events, executor, files, folder, gpus,
jobs, limits, locks, long_runs, metric_table, metrics, model, monitoring, plan, provers, records,
stopping, store, text, threads, untrusted.

Other rooms use:

- `run.py`: wires a run from its settings, runs it and leaves its outputs.
- `settings.py`: the settings of one run, as plain values.
- `identity.py`: what a result was made from; tells whether a finished run may stand for a new one.
- `dry_run.py`: says what a run would do, and does nothing.

Only this room uses:

- `prepare.py`: makes the batch from the settings, and finds what is wrong before any proof.
- `programs.py`: finds the guest programs, and checks them against what pins them.
- `assumptions.py`: what leaves' guests verify themselves, and the order that follows from it.
- `receipts_elsewhere.py`: receipts that a batch uses and does not make, and verifies first.
- `batch.py`: the batch itself: its leaves, its plan, and the job behind each node.
- `batch_run.py`: one run of a batch: wires what it needs, runs it and has it checked.
- `batch_jobs.py`: the source of a batch's jobs and the sink of their outcomes.
- `segment_jobs.py`: the parts of long runs: their seeds, their data and their receipts.
- `result_check.py`: the check of the root, or of the leaves where there is none.
- `remarks.py`: what people are told of a run's jobs beside their events.
- `leaf_records.py`: the leaves of a batch on disk.
- `outcomes.py`: the outcomes of a run's finished jobs on disk.
- `partial.py`: what is missing from a batch whose leaves failed in part, and what is left of it.
- `run_info.py`: what is known of a run before its first job, such as its id and its start.
- `elsewhere.py`: what a run tells an engine whose workers are elsewhere, and gives to the store.
- `run_store.py`: the store of a run, with its bound, behind the cache of this machine.
- `lookup.py`: the proof cache as a run uses it: jobs in, verified outcomes out.
- `segment_store.py`: the segments of long runs on disk, and the receipts of those that are proved.
- `segment_stream.py`: a long run that is cut on a thread, one segment each time it is asked.
- `seed.py`: what a guest's random numbers come from where its run is cut.
- `spool.py`: the run's own receipts on disk, which no cache eviction can take away.
- `printed.py`: what guests print, a file for each job, and its last lines in the log.
- `counters.py`: counts what happens during a run into its metrics.
- `outputs.py`: writes record, receipts and metrics, also for a run that failed.
- `record.py`: the contents of ``result.json``.
- `leaf_list.py`: ``leaves.jsonl``, and the files of journals that are too large for it.
- `last_run.py`: sets the gauges that describe the last run.
- `work.py`: the work of a batch's leaves, in the units of their guests.
- `summary.py`: the measured figures of a finished batch, and the model's beside them.
- `check_command.py`: the command that checks a finished batch.
- `closing.py`: what a run prints when it has ended: a table, or a line of JSON.
- `forecast.py`: what a run would prove or find in the cache, job by job, and why.
- `trial.py`: the leaves' guests, executed by a dry run or before a batch with assumptions.
- `afterwards.py`: what a dry run is told of what follows the batch elsewhere.
- `dry_run_report.py`: what a dry run says, as a table and sentences or as JSON.
"""
