"""Example plug-ins for kdbench."""

from pathlib import Path

CAPITALS = Path(__file__).parent / "capitals" / "capitals.yaml"
