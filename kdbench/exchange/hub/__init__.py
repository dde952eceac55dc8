"""The Hugging Face Hub: a model card with its metadata, and the push of a run."""
