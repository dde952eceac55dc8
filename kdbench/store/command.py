"""The commands of a stored run: those that it records, and one that measures it again."""

import re
import shlex
from collections.abc import Sequence
from pathlib import Path

from kdbench.store.runs import StoredRun, when_loaded
from kdbench.text import printable

_DEFAULTS = {"protocol": "minillm", "backend": "hf"}
_ELSEWHERE = "external"
"""Protocol or backend of texts that kdbench only scored."""
_ABSOLUTE = re.compile(r"(?:~|[A-Za-z]:)?[\\/][^\\/]+[\\/].*", re.DOTALL)
"""An absolute path below the first level, so that `system=/no_think` is none."""


def shareable(words: Sequence[str]) -> list[str]:
    """A recorded command without the folders of the machine: `data=path/to/data`.

    Absolute paths keep their last name; relative ones stay as they are.

    Args:
        words: The command's words, `key=value` among them, where a value may list paths.
    """
    return [_without_folders(word) for word in words]


def _without_folders(word: str) -> str:
    key, sign, value = word.partition("=")
    return f"{key}{sign}{','.join(map(_last_name, value.split(',')))}"


def _last_name(part: str) -> str:
    if _ABSOLUTE.fullmatch(part) is None:
        return part
    name = re.split(r"[\\/]", part.rstrip("\\/"))[-1]
    return f"path/to/{name}"


def command_of(run: StoredRun, folder: Path | None, model: str | None = None) -> str:
    """Return the command; empty if there is none, as for results of another program.

    Where checkpoints and data were is not stored, so the reader fills in `path/to/…`.

    Args:
        run: The run.
        folder: Its folder, which texts made elsewhere are scored from; None if the reader does not
            have it, nor a table for its labels.
        model: What `model=` names; by default a path with the name of the checkpoint.
    """
    record = run.record
    if record.get("imported"):
        return ""
    protocol, *overrides = str(record["protocol"]["name"]).split("+")
    backend = (record.get("backend") or {}).get("name")
    if _ELSEWHERE in (protocol, backend):
        return "" if folder is None else _shell("score", f"run={folder}")
    teacher = next((r.teacher for r in run.results.values() if r.teacher), None)
    quantised = when_loaded(record["model"].get("quantization"))
    teacher_quantised = when_loaded(teacher.get("dtype")) if teacher else None
    given = {
        "model": model or _place(record["model"]["name"], quantised),
        "quantization": quantised,
        "teacher": _place(teacher["name"], teacher_quantised) if teacher else None,
        "teacher_quantization": teacher_quantised,
        "data": "path/to/data",
        "tasks": ",".join(dict.fromkeys([*record["tasks"], *run.results])),
        "protocol": protocol,
        "backend": backend,
        "limit": record["limit"],
    }
    if folder is not None:
        given |= {"method": record["method"], "setting": record["setting"]}
    words = [
        f"{key}={value}"
        for key, value in given.items()
        if value is not None and value != _DEFAULTS.get(key)
    ]
    return _shell("eval", *words, *(word for word in overrides if "=" in word))


def _place(name: str, quantised: str | None) -> str:
    """Where a checkpoint may be; its name in results ends in how it was quantised."""
    return f"path/to/{name.removesuffix(f'-{quantised}')}"


def _shell(*words: str) -> str:
    return shlex.join(["kdbench", *map(printable, words)])
