"""Tests of ``runner/monitoring``, alone and together with Prometheus and its tools."""
