"""Quality against entropy: every student at several sampling temperatures."""
