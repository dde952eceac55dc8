"""Is a new checkpoint worse, by how much, and could this run have seen it?

`find` and `sides` read what is compared, `matching` says whether it may be, `pairing` and `rows` do
it with the statistics of `kdbench.stats.paired`, `verdict` says what it means and which exit code
it has. Verbs: `compare`, `regress`, `plan`; what they write is in `outputs`.
"""
