"""The trackers that kdbench logs to, one per file."""
