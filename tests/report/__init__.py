"""Tests of ``runner/report``: figures, tables and pages made from finished runs."""
