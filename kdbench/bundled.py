"""Where the files that come with kdbench lie: `tasks/` and `baselines/`."""

from pathlib import Path

_PACKAGE = Path(__file__).parent


def bundled(name: str) -> Path:
    """The folder `tasks` or `baselines`: inside an installed wheel, else beside the package."""
    installed = _PACKAGE / "_bundled" / name
    return installed if installed.is_dir() else _PACKAGE.parent / name
