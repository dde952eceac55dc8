"""The teacher's scores of tokens on disk, shared by training and fidelity."""
