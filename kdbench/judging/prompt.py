"""The prompts of a judge: Jinja templates in `prompts/`, or a user's file."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from kdbench.errors import InputError, nearest, reason_of
from kdbench.judging.reply import Kind
from kdbench.system.time_limit import time_limit

_FOLDER = Path(__file__).parent / "prompts"
_FIELDS: Mapping[Kind, tuple[str, ...]] = {
    "score": ("question", "answer"),
    "score-reference": ("question", "first", "second"),
    "pair": ("question", "first", "second"),
}
_MARK = "mark"  # an optional field: digits for tags that no response can know
_VERSION = re.compile(r"\{#-?\s*version (\d+)\b")
_LARGEST = 100_000
_SECONDS = 10  # a template takes milliseconds


@dataclass(frozen=True)
class JudgePrompt:
    """A template of what the judge is asked.

    Attributes:
        kind: What is asked.
        name: Name of the bundled template, or of the user's file.
        version: Number after `{# version` at its start; None for a file without one.
        text: Text of the template.
    """

    kind: Kind
    name: str
    version: int | None
    text: str = field(repr=False)

    @property
    def sha256(self) -> str:
        """SHA-256 of the text."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @property
    def identity(self) -> dict[str, Any]:
        """Name, version and SHA-256, as a result records them."""
        return {"name": self.name, "version": self.version, "sha256": self.sha256}

    def render(self, **fields: str) -> str:
        """Return the question to the judge.

        Args:
            fields: `question`, and `answer` or `first` and `second`.

        Raises:
            InputError: The template fails.
        """
        content = "\0".join([self.kind, *(fields[key] for key in sorted(fields))])
        mark = hashlib.sha256(content.encode()).hexdigest()[:8]
        try:
            with time_limit(_SECONDS):
                text: str = _template(self.text).render(**fields, mark=mark)
        except Exception as error:
            raise InputError(f"judge_prompt={self.name}: fails: {reason_of(error, 200)}") from error
        return text.strip()


def bundled_prompt(kind: Kind) -> JudgePrompt:
    """Return the template that comes with kdbench."""
    text = (_FOLDER / f"{kind}.j2").read_text("utf-8")
    return JudgePrompt(kind, kind, _version(text), text)


def read_prompt(path: Path, compares: bool) -> JudgePrompt:
    """Read a user's template.

    A template with `answer` grades a response by itself; one with `first` and `second` grades a
    response and its reference, or compares two responses.

    Args:
        path: File of the template.
        compares: Whether responses are compared in pairs.

    Raises:
        InputError: The file cannot be read, is no template, or lacks a field.
    """
    place = f"judge_prompt={path}"
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST + 1)
    except OSError as error:
        raise InputError(f"{place}: {error.strerror}") from None
    if len(content) > _LARGEST:
        raise InputError(f"{place}: larger than {_LARGEST // 1000} kB")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{place}: not UTF-8 text") from None
    used = _used_fields(text, place)
    kind: Kind = "pair" if compares else "score" if "answer" in used else "score-reference"
    _check_fields(used, kind, place)
    return JudgePrompt(kind, path.name, _version(text), text)


def _used_fields(text: str, place: str) -> set[str]:
    from jinja2 import TemplateError, meta

    try:
        return set(meta.find_undeclared_variables(_environment().parse(text)))
    except (TemplateError, RecursionError) as error:
        raise InputError(f"{place}: not a Jinja template: {reason_of(error, 200)}") from None


def _check_fields(used: set[str], kind: Kind, place: str) -> None:
    """Check that a template shows the judge all it needs, and nothing that does not exist."""
    known = (*_FIELDS[kind], _MARK)
    for name in sorted(used - set(known)):
        raise InputError(f"{place}: unknown field '{name}': {nearest(name, known)}")
    for name in _FIELDS[kind]:
        if name not in used:
            raise InputError(f"{place}: has no {{{{ {name} }}}}, so the judge would not see it")


@lru_cache(maxsize=8)
def _template(text: str) -> Any:
    return _environment().from_string(text)


def _environment() -> Any:
    from jinja2 import StrictUndefined
    from jinja2.sandbox import SandboxedEnvironment

    # Prompts are plain text; nothing here is HTML.
    return SandboxedEnvironment(undefined=StrictUndefined, autoescape=False)


def _version(text: str) -> int | None:
    match = _VERSION.match(text.lstrip())
    return int(match[1]) if match else None
