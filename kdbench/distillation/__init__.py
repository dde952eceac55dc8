"""`kdbench train`: recipes, the checkpoints and data they name, and the training run."""
