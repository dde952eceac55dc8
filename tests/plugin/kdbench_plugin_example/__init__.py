"""An example of a plug-in for kdbench."""

from pathlib import Path

CAPITALS = Path(__file__).parent / "capitals" / "capitals.yaml"
