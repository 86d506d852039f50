"""Talks to an Ethereum node: JSON-RPC, contract calls, signed transactions, and a local node.

May import: errors, files, plan, threads, untrusted.

Other rooms use:

- `chain.py`: what a node knows of its chain, as plain values.
- `contracts.py`: the compiled contracts, and whether one on a chain is one of them.
- `faults.py`: why a call to a node failed, by class, since clients differ in their words.
- `keys.py`: who signs: a key in a keystore or in the environment, or a remote signer.
- `libraries.py`: the optional libraries of the L1, which leave the interpreter as it was.
- `node.py`: a local node for as long as it is needed.
- `openvm.py`: an OpenVM proof for a contract, read from a file.
- `registry.py`: the registry contract: its calls and what it knows of a batch.
- `rpc.py`: the transport: one JSON-RPC call over HTTP, bounded in time and size.
- `transaction.py`: a transaction before and after it is signed.
"""
