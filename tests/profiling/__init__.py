"""Tests of ``profiling/``: what ``make profile`` measures and draws."""
