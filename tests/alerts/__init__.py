"""Tests of ``runner/alerts``: the rules, the dashboard, and the reference page."""
