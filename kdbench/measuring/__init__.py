"""Generate samples, score them and average the scores."""
