"""What guests read and commit: values of Rust's types, and the bytes that stand for them.

A schema in a config describes the types. The same schema encodes a guest's input and decodes its
journal.

May import: errors, threads.

Other rooms use:

- `reads.py`: the reads that a guest's input or journal consists of, from values to bytes and back.
- `schema.py`: the types that a config describes, in Rust's own spelling or in YAML.
- `values.py`: the error about a value that a guest cannot take, and what can be printed of a value.
- `kind.py`: what every type does.
- `texts.py`: texts, byte strings and digests.
- `compound.py`: options, structs and enums.
- `lists.py`: tuples, arrays and lists.
- `work.py`: the unit of work of a guest, which a field of its journal counts.
- `own_program.py`: the user's own program as the encoder of inputs.

Only this room uses:

- `forms.py`: the three serialisation formats, and the writer and the reader of bytes.
- `scalars.py`: numbers, truth values, characters and the unit.
"""
