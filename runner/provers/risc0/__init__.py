"""The RISC Zero adapter.

``adapter.py`` is the adapter, ``cost.py`` its cost model of an aggregation,
``environment.py`` the variables that have no effect, ``gpu.py`` a worker's place on a GPU,
``on_chain.py`` a receipt as contracts take it, ``program.py`` the kernel beside a user's program,
and ``recursive.py`` what succinct and groth16 receipts need.
"""
