"""Scores that a teacher gave once, kept on disk for fidelity and training."""
