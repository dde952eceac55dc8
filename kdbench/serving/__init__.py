"""What a model costs to serve: speed and latency under a stated load."""
