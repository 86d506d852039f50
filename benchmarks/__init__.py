"""Measurements of what proofs cost and of what the runner adds to them.

Rooms:

- `suite/`: the benchmarks that ``make bench`` runs with pytest-benchmark.
- `compare/`: measures two versions in turn on one machine, judges them, and draws saved runs.
- `exact/`: counts what can be counted exactly and compares it with what is recorded.
- `studies/`: measurements that a person runs by hand to answer one question.
- `plain_guests/`: a Cargo workspace with the guests as one would first write them. Real proofs of
  our guests are measured against them.

The commands run from the root of the repository, for example ``python -m benchmarks.exact``. How
they measure stands in docs/benchmarks.md, and what they found stands in docs/figures/.
"""
