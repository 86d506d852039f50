"""Fuzzers of everything that reads what may be anybody's; ``python -m tests.fuzz`` runs one."""
