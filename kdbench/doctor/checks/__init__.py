"""The checks of `kdbench doctor`; adding one means adding a file."""
