"""Limits on a task's YAML, checked before lm-eval builds it, because a parser may die of a file."""

import re
from pathlib import Path

from kdbench.errors import InputError
from kdbench.system.safe_yaml import check_yaml, yaml_text

MAX_INCLUDES = 10
_INCLUDE = re.compile(r"^include:[ \t]*['\"]?([^'\"#\s]+)", re.MULTILINE)


def top_keys(path: Path) -> list[str]:
    """Return the keys at the top of a YAML file within the limits, without building its values.

    Raises:
        InputError: The file, or one that it includes, is not YAML, too large, nested too deeply, or
            an alias bomb.
    """
    import yaml

    text = _checked_text(path, [])
    # `!function` is a tag of lm-eval, which a node tree keeps without resolving it.
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    pairs = root.value if isinstance(root, yaml.MappingNode) else []
    return [key.value for key, _ in pairs if isinstance(key, yaml.ScalarNode)]


def included_files(path: Path) -> set[Path]:
    """Return the files that a YAML file includes, directly or not, without checking them."""
    found: set[Path] = set()
    waiting = [path]
    while waiting and len(found) <= MAX_INCLUDES:
        file = waiting.pop()
        named = {file.parent / name for name in _INCLUDE.findall(yaml_text(file))}
        waiting += [other for other in named - found if other.is_file()]
        found |= {other for other in named if other.is_file()}
    return found


def _checked_text(path: Path, included: list[Path]) -> str:
    """Read a YAML file and check its limits and those of the files that it includes.

    Args:
        path: File to read.
        included: Files that were included so far; those of this file are added. Their number ends
            circles, and trees of files that include many.
    """
    try:
        text = yaml_text(path)
        check_yaml(text)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    for name in _INCLUDE.findall(text):
        if len(included) >= MAX_INCLUDES:
            raise InputError(f"{path}: include: more than {MAX_INCLUDES} files")
        file = path.parent / name
        if file.is_file():
            included.append(file)
            _checked_text(file, included)
    return text
