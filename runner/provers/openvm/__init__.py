"""The OpenVM adapter.

- `adapter.py`: the adapter itself.
- `cost.py`: its model of the cost of an aggregation.
- `memory.py`: the memory that its proofs take, and where runs are cut for it.
"""
