"""Tests of ``scripts/``: the set-up, and the monitoring stack."""
