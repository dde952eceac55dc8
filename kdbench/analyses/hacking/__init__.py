"""What the analysis of teacher hacking concludes from its curves."""
