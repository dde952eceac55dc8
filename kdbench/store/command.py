"""The commands of a stored run: those that it records, and one that measures it again."""

import re
import shlex
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from kdbench.config.words import key_of
from kdbench.store.runs import StoredRun, when_loaded
from kdbench.text import printable

_DEFAULTS = {"protocol": "minillm", "backend": "hf"}
_ELSEWHERE = "external"
"""Protocol or backend of texts that kdbench only scored."""
_FREE_TEXT = {
    *("system", "context_template", "chat_template_kwargs", "thinking_marks", "end_token"),
    *("method", "label", "labels", "setting", "settings", "rows", "report_group"),
    *("reason", "message"),
}
"""Keys whose values a model or a person reads, so that `system=/no_think/please` is no path.

They are listed because their types do not tell: `system=` and `teacher=` are both texts.
"""
_ROOT = r"(?: / | ~[\w.-]*[\\/] | [a-z]:[\\/] | \\\\[\w.$-]+\\(?!\\) )"
_AFTER_NAMES = "\\/])}\"' \t\n"
_ABSOLUTE = rf"{_ROOT} (?= [\\/]* [^\\/\])}}\"'\s,] )"
_PLACE = re.compile(
    rf"""
    (?P<url> (?<![\w+.-]) (?!file:) [a-z][\w+.-]+ :// [^/\s,] [^\s,"']* )
    | (?<=") {_ABSOLUTE} [^"]* (?=")
    | (?<! [^\s,:;=@(\[{{"'] ) {_ABSOLUTE} [^,]*
    """,
    re.VERBOSE | re.IGNORECASE,
)
"""A URL, or an absolute path: up to the closing quotation mark, or up to a comma."""
_FILE_OF_TEXT = re.compile(rf"@{_ABSOLUTE}", re.VERBOSE | re.IGNORECASE)


def shareable(words: Sequence[str]) -> list[str]:
    """A recorded command without the folders of the machine: `data=path/to/data`.

    Absolute paths keep their last name, also within a value: `student=prune:path/to/kd,layers=2`.
    Relative paths, URLs and free text stay as they are.

    Args:
        words: The command's words, such as `key=value`, or `--key` and its value.
    """
    return [
        word if _is_free_text(before, word) else _PLACE.sub(_last_name, word)
        for before, word in pairwise(["", *words])
    ]


def _is_free_text(before: str, word: str) -> bool:
    follows_option = before.startswith("--") and "=" not in before and not word.startswith("--")
    if follows_option and _takes_as_text(before, word):
        return True
    return _takes_as_text(word, word.partition("=")[2])


def _takes_as_text(keyed: str, value: str) -> bool:
    key = (key_of(keyed) or "").rpartition(".")[2]
    if key == "chat_template":
        return "{" in value
    return key in _FREE_TEXT and not _FILE_OF_TEXT.match(value)


def _last_name(place: re.Match[str]) -> str:
    if place["url"]:
        return place[0]
    path = place[0].rstrip(_AFTER_NAMES)
    after = re.sub(r"[\\/]", "", place[0].removeprefix(path))
    *_, name = re.split(r"[\\/]", path)
    return f"path/to/{name}{after}"


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
