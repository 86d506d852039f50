"""Finished proofs kept between runs, and verified before each use.

May import: errors, files, model.

Other rooms use:

- `cache.py`: what a cache must offer, also to a dry run; the cache that keeps nothing.
- `keys.py`: the content address of a proof.
- `origins.py`: what the entries were made from, so that a miss can be explained.

Only this room uses:

- `proof_cache.py`: the cache on disk: look up, keep, evict, quarantine.
- `view.py`: the cache on disk as a dry run looks at it; nothing in it changes.
- `store.py`: index and blobs together: opened, kept in step, repaired.
- `index.py`: the SQLite index: entries, their order of use, what they cost to make.
- `blobs.py`: the blob files, half-written ones, and those in quarantine.
"""
