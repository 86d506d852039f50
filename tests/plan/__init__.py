"""Tests of ``runner/plan``: inputs, plans, strategies, and the models of cost and time."""
