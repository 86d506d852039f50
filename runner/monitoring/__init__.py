"""Watches runs while they run, and counts them afterwards.

May import: consoles, errors, events, files, gpus, locks, metric_kinds, metric_table, metrics,
model, plan, text, threads, untrusted.

Other rooms use:

- `tally.py`: the state of a running batch, as every display, log and page shows it.
- `hosts.py`: what each machine of a cluster has done, for a bounded number of machines.
- `progress.py`: progress bars on a terminal, plain log lines elsewhere.
- `live.py`: the live figures of a running batch: the file's format and its reader.
- `live_file.py`: keeps the live figures up to date beside the metrics textfile.
- `logs.py`: where log records go: standard error as text or JSON lines, and ``run.log``.
- `gpu.py`: utilization and memory of the GPUs during a run, from NVIDIA's library.
- `publish.py`: publishes a run's figures to the ledger, textfile and Pushgateway.
- `ledger.py`: totals that survive runs, counted once a run under a lock.
- `ledger_file.py`: the ledger's file format: version, checksum, migrations.
- `textfile.py`: the metrics file for node_exporter, written as a whole and read back.
- `pushgateway.py`: the push to a Prometheus Pushgateway.

Only this room uses:

- `ledger_migrations.py`: what has become of the totals of earlier versions of the ledger.
"""
