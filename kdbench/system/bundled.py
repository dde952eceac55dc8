"""The places of the files that come with kdbench: `tasks/` and `baselines/`."""

import importlib.util
from functools import cache
from pathlib import Path
from typing import Any

_PACKAGE = Path(__file__).parents[1]


def bundled(name: str) -> Path:
    """The folder `tasks` or `baselines`: inside an installed wheel, or next to the package."""
    installed = _PACKAGE / "_bundled" / name
    return installed if installed.is_dir() else _PACKAGE.parent / name


@cache
def load_module(name: str) -> Any:
    """A bundled Python file, such as `tasks/instruction.py`, as a module."""
    folder, _, file = name.partition("/")
    path = bundled(folder) / file
    spec = importlib.util.spec_from_file_location(f"kdbench_{path.stem}", path)
    assert spec is not None  # noqa: S101 - the file is bundled
    assert spec.loader is not None  # noqa: S101
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
