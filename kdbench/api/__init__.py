"""The public functions of `import kdbench`: their signatures, and what they call."""
