"""Numbers that settings and statistics share, apart from numpy so that a help starts fast."""

RESAMPLES = 10_000
"""Number of bootstrap resamples, and of sign flips."""
POWER = 0.80
"""Probability with which a plan's prompts detect a change."""
