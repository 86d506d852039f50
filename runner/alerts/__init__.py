"""What Prometheus and Grafana are given, made from the tables: rules, dashboard, reference page.

May import: errors, files, metric_table.

Other rooms use:

- `dashboard.py`: the Grafana dashboard.
- `reference.py`: the reference page of all metrics.
- `generated.py`: the command line of files that are made from tables: write them, or check them.

Only this room uses:

- `__main__.py`: the command ``python -m runner.alerts``.
- `rules.py`: the rule file for Prometheus.
- `table.py`: every alert, declared once: what it watches and what it says.
- `config.py`: ``conf/alerts``: thresholds, durations and severities, read and checked.
- `panels.py`: the rows and panels of the dashboard.
- `promql.py`: which metrics a PromQL expression names, checked against the metric table.
"""
