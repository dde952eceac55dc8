"""Python files that register parts: the user names them, and their hash is part of what they make.

Loading a file runs its code. Only the user's own words may name one, never a file that could have
come from elsewhere, such as a recipe or a table.
"""

import hashlib
import importlib.util
import inspect
import os
import sys
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

from kdbench.errors import InputError, reason_of

KEY = "plugins"
_PREFIX = "kdbench_plugin_"
_DIGITS = 12  # of a hash in a version or an identity


@dataclass(frozen=True)
class PluginFile:
    """A loaded file.

    Attributes:
        path: The file.
        sha256: Hash of its content.
        module: Name of its module.
    """

    path: Path
    sha256: str
    module: str


_loaded: dict[str, PluginFile] = {}  # by name of the module


def plugin_files(value: object) -> list[str]:
    """Return the paths in a value of `plugins=`: a text with commas, a path, or a list of paths."""
    if isinstance(value, str):
        return [item for item in value.split(",") if item]
    items = value if isinstance(value, list | tuple) else [value] if value is not None else []
    return [os.fspath(item) if isinstance(item, os.PathLike) else str(item) for item in items]


def load_plugins(files: Sequence[str | Path]) -> None:
    """Run files that register parts; one that is loaded already runs again if it has changed.

    Raises:
        InputError: A file is missing, or its code raises an error; the message names the line.
    """
    for file in files:
        path = Path(file)
        if path.suffix != ".py":
            raise InputError(f"{KEY}={file}: not a Python file (.py)")
        try:
            content = path.read_bytes()
        except OSError as error:
            raise InputError(f"{KEY}={file}: {error.strerror}") from None
        place = hashlib.sha256(os.fsencode(path.resolve())).hexdigest()[:8]
        name = f"{_PREFIX}{path.stem}_{place}"
        plugin = PluginFile(path.resolve(), hashlib.sha256(content).hexdigest(), name)
        if _loaded.get(name) != plugin:
            _run(plugin, content)


def _run(plugin: PluginFile, content: bytes) -> None:
    spec = importlib.util.spec_from_file_location(plugin.module, plugin.path)
    assert spec is not None  # noqa: S101 - the name ends with .py
    module = importlib.util.module_from_spec(spec)
    before = sys.modules.get(plugin.module), _loaded.get(plugin.module)
    # Registered first, so that its parts know its hash, and pickle finds them.
    sys.modules[plugin.module], _loaded[plugin.module] = module, plugin
    try:
        exec(compile(content, str(plugin.path), "exec"), module.__dict__)  # noqa: S102
    except (Exception, SystemExit) as error:
        _restore(plugin.module, *before)
        raise InputError(_fault(plugin.path, error)) from error
    except BaseException:
        _restore(plugin.module, *before)
        raise


def _restore(name: str, module: Any, plugin: PluginFile | None) -> None:
    """Put back what a failed file has replaced."""
    sys.modules.pop(name, None)
    _loaded.pop(name, None)
    if plugin is not None:
        sys.modules[name], _loaded[name] = module, plugin


def _fault(path: Path, error: BaseException) -> str:
    """`FILE:LINE: error`, with the last line of the file itself."""
    line = error.lineno if isinstance(error, SyntaxError) else None
    for frame in traceback.extract_tb(error.__traceback__):
        if frame.filename == str(path):
            line = frame.lineno
    kind = "" if isinstance(error, InputError) else f"{type(error).__name__}: "
    text = error.msg if isinstance(error, SyntaxError) else reason_of(error)
    return f"{path}:{line or 1}: {kind}{text}"


def load_named_plugins(words: Sequence[str]) -> list[str]:
    """Load the files of `plugins=FILE` in words of a command line; return the other words.

    Raises:
        InputError: The key has no value, or as `load_plugins` raises it.
    """
    rest: list[str] = []
    remaining = iter(words)
    for word in remaining:
        key, equals, value = word.partition("=")
        if key.removeprefix("--") != KEY or not (equals or word.startswith("--")):
            rest.append(word)
            continue
        files = plugin_files(value if equals else next(remaining, ""))
        if not files:
            raise InputError(f"{KEY}= needs a Python file (.py)")
        load_plugins(files)
    return rest


def loaded_plugins() -> list[PluginFile]:
    """Return the files that this process has loaded."""
    return list(_loaded.values())


def recorded(files: Sequence[str | Path]) -> dict[str, str]:
    """Return the SHA-256 of loaded files by name, for a record."""
    paths = {Path(file).resolve() for file in files}
    return {p.path.name: p.sha256 for p in _loaded.values() if p.path in paths}


def is_own_part(part: Any) -> bool:
    """Whether a part is the user's: of a file of `plugins=`, of a notebook or of a script."""
    module = getattr(part, "__module__", None)
    return module == "__main__" or module in _loaded


def stamp_of(part: Any) -> str:
    """Return a hash of the code of a user's own part; empty for one of an installed package.

    Of a plug-in file it is the file's hash. Of a class in a notebook or script it covers the
    class's own functions and plain values, not what they call outside the class.
    """
    module = getattr(part, "__module__", None)
    if module in _loaded:
        return _loaded[module].sha256[:_DIGITS]
    if module != "__main__" or not isinstance(part, type):
        return ""
    digest = hashlib.sha256()
    for kind in part.__mro__:
        if kind.__module__ == "__main__":
            for text in _code_of(kind):
                digest.update(text.encode("utf-8", "surrogatepass") + b"\0")
    return digest.hexdigest()[:_DIGITS]


def _code_of(kind: type) -> Iterator[str]:
    for name, value in sorted(vars(kind).items()):
        function = getattr(value, "__func__", getattr(value, "fget", value))
        if isinstance(function, FunctionType):
            yield f"{name} {_source(function)}"
        elif not name.startswith("__") and isinstance(value, bool | int | float | str | tuple):
            yield f"{name} {value!r}"


def _source(function: FunctionType) -> str:
    try:
        return inspect.getsource(function)
    except (OSError, TypeError):  # of exec, without a file
        return _bytes_of(function.__code__)


def _bytes_of(code: CodeType) -> str:
    inner = [_bytes_of(c) if isinstance(c, CodeType) else repr(c) for c in code.co_consts]
    return f"{code.co_code.hex()} {code.co_names} {inner}"
