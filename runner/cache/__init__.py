"""Finished proofs kept between runs, and verified before each use.

May import: errors, files, model, store, text, untrusted.

Other rooms use:

- `cache.py`: the protocol of a cache, the view that a dry run reads, and the cache of `cache=off`.
- `shared.py`: the proofs that machines share, in a store of artifacts.
- `tiers.py`: the cache of this machine with the shared proofs behind it.
- `keys.py`: the content address of a proof.
- `origins.py`: what the entries were made from, so that a miss can be explained.

Only this room uses:

- `proof_cache.py`: the cache on disk, which looks up, keeps, evicts and quarantines proofs.
- `view.py`: the cache on disk as a dry run reads it, without changing anything.
- `store.py`: opens the index and the blobs, keeps them consistent, and repairs them.
- `index.py`: the SQLite index of the entries, their order of use, and what they cost to prove.
- `labels.py`: what a blob says about its proof, before the proof.
- `blobs.py`: the files: blobs, half-written blobs, and blobs in quarantine.
"""
