"""`kdbench fill`: a table's specification becomes a graph of work, and the graph a filled table."""
