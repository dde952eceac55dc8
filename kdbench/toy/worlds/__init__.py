"""Worlds that bundled tables need, one per file, each registered under its name."""
