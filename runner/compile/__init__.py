"""Compiles guest programs from crates that are anywhere, as ``risc0-build`` does.

May import: errors, files, model, provers, streams.

Only this room uses:

- `__main__.py`: the command ``python -m runner.compile``.
- `crates.py`: the programs in a crate or workspace, as cargo knows them.
- `toolchain.py`: the Rust compiler for guests, and the flags that it is called with.
- `pinned.py`: the compiled programs in a folder, and the manifest that pins them.
"""
