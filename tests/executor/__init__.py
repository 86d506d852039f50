"""Tests of ``runner/executor.py``, on an engine that finishes jobs when a test says so."""
