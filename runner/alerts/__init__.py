"""What Prometheus and Grafana are given, made from tables: rules, dashboard, reference page.

May import: destination, errors, files, metric_kinds, metric_table, streams, untrusted.

Other rooms use:

- `dashboard.py`: the Grafana dashboard as JSON.
- `reference.py`: the reference page of all metrics.
- `config.py`: the alerts as ``conf/alerts`` configures them, checked for contradictions.
- `generated.py`: the command line of files that are made from tables.

Only this room uses:

- `__main__.py`: the command ``python -m runner.alerts``.
- `rules.py`: the rule file for Prometheus.
- `table.py`: every alert, declared once: what it watches and what it says.
- `settings_file.py`: one file of ``conf/alerts``, read strictly.
- `rows.py`: the rows of the dashboard, in their order.
- `run_rows.py`: the panels about runs: their end, their speed, and what the cache gave.
- `l1_rows.py`: the panels about what aggregation saves, and what the L1 takes for it.
- `proving_rows.py`: the panels about the zkVM, the GPUs, long runs and the cluster.
- `styles.py`: how panels look that look alike.
- `panels.py`: what a row, a panel and a query are.
- `promql.py`: which metrics a PromQL expression names, checked against the metric table.
"""
