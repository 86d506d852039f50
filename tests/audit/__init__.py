"""Tests of ``runner/audit``: the log, its check, and what whole runs write into it."""
