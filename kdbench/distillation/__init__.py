"""`kdbench train`: a recipe's checkpoints and data, and the run that makes a student of them."""
