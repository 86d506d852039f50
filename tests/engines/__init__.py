"""Tests of ``runner/engines``: every engine, and the retry policy."""
