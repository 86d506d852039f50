"""The RISC Zero adapter.

``adapter.py`` is the adapter, ``calls.py`` the calls of the native modules, ``cost.py`` its cost
model of an aggregation, ``environment.py`` the variables that have no effect, ``gpu.py`` a worker's
place on a GPU, ``memory.py`` the memory that proofs take, ``on_chain.py`` a receipt as contracts
take it, ``parts.py`` what it does with runs of several segments, ``program.py`` the kernel beside a
user's program, and ``recursive.py`` what succinct and groth16 receipts need.
"""
