"""Tests of ``runner/metrics.py`` and of the table of all metrics."""
