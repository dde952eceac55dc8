"""What `kdbench ls`, `kdbench show` and the lists print."""
