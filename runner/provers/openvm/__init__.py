"""The OpenVM adapter (``adapter.py``) and what an aggregation costs it (``cost.py``)."""
