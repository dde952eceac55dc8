"""`kdbench fill`: the specification of a table becomes a graph of work, then a filled table."""
