"""What the verbs show: their results as text that fits the terminal, and as JSON."""
