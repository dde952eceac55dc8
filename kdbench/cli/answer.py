"""What a verb answers: text for people, or one JSON document with `--json`.

A verb returns a `VerbAnswer` when its work is done. With `--json`, standard output gets the
document and nothing else: whatever a library prints meanwhile goes to standard error. The document
of a verb that only prints text holds its lines.
"""

import importlib
import io
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import asdict, dataclass, is_dataclass
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kdbench.system.console import report_progress, say, say_styled
from kdbench.system.files import SCHEMA
from kdbench.system.layout import output_width, wrapped
from kdbench.system.shown_places import with_urls
from kdbench.text import printable

if TYPE_CHECKING:
    from kdbench.system.outline import Section


@dataclass(frozen=True)
class VerbAnswer:
    """What a verb has done.

    Attributes:
        show: Prints the result as text.
        document: Returns the result, which becomes JSON.
        code: Exit code.
        warnings: What makes numbers meaningless, a line each.
        following: The next useful command; empty for none.
    """

    show: Callable[[], object]
    document: Callable[[], Mapping[str, Any]]
    code: int = 0
    warnings: Sequence[str] = ()
    following: str = ""


Run = Callable[[list[str]], VerbAnswer | int | None]
"""A verb: it takes its words and returns its answer, or only an exit code if it has printed it."""


def dry_run_answer(sections: Sequence["Section"]) -> VerbAnswer:
    """The answer of a dry run.

    Args:
        sections: What would be done.
    """

    def show() -> None:
        from kdbench.cli.outline import outline_lines

        for line in outline_lines(sections):
            say(line)

    def document() -> Mapping[str, Any]:
        parts = [
            {"title": section.title, "facts": [fact._asdict() for fact in section.facts]}
            for section in sections
        ]
        return {"dry_run": True, "sections": parts}

    return VerbAnswer(show, document)


def with_json(run: Run, verb: str, settings: str | None) -> Run:
    """A verb that understands `--json`: it prints one JSON document instead of text.

    Args:
        run: The verb.
        verb: Its name.
        settings: Class of its keys, in `kdbench.config` or as `module:Class`; None without keys.
            `--json` is `json=-` for a verb that has that key.
    """

    def answer(words: list[str]) -> VerbAnswer | int | None:
        options = words[: words.index("--")] if "--" in words else words
        if "--json" not in options:
            return run(words)
        values = words[len(options) :]
        words = [word for word in options if word != "--json"]
        writes_baseline = "--update" in options or "update=true" in options
        if _has_json_key(settings) and not writes_baseline:
            answered = run([*words, "json=-", *values])
            return give_json(answered, verb) if isinstance(answered, VerbAnswer) else answered
        printed = io.StringIO()
        try:
            with redirect_stdout(printed):
                answered = run([*words, *values])
        except BaseException:
            sys.stderr.write(printed.getvalue())
            raise
        if isinstance(answered, VerbAnswer):
            sys.stderr.write(printed.getvalue())
            return give_json(answered, verb)
        if os.environ.get("RANK", "0") != "0":  # only one process of a distributed run prints
            return answered
        lines = printed.getvalue().splitlines()
        return give_json(VerbAnswer(lambda: None, lambda: {"lines": lines}, answered or 0), verb)

    return answer


def _has_json_key(settings: str | None) -> bool:
    if settings is None:
        return False
    from kdbench.config.kinds import fields_by_key

    module, _, name = settings.rpartition(":")
    kind = getattr(importlib.import_module(module or "kdbench.config"), name)
    return "json" in fields_by_key(kind)


def give(answer: VerbAnswer) -> int:
    """Print an answer as text; return its exit code.

    Warnings go to standard error. The next command is for people: only a terminal gets it.
    """
    answer.show()
    sys.stdout.flush()
    width = output_width() if sys.stderr.isatty() else None
    for text in answer.warnings:
        for line in wrapped(printable(f"warning: {text}"), width, "  ", whole_words=True):
            report_progress(line, "yellow")
    show_following(answer.following)
    return answer.code


def show_following(command: str) -> None:
    """Print the next useful command, if there is one and standard output is a terminal."""
    if command and sys.stdout.isatty():
        say_styled(f"next: {command}", "dim")


def give_json(answer: VerbAnswer, verb: str) -> int:
    """Print an answer as one JSON document on standard output; return its exit code."""
    head = {"schema": SCHEMA, "verb": verb, "exit_code": answer.code}
    document = {**head, **answer.document(), "warnings": list(answer.warnings)}
    sys.stdout.write(json_document(document))
    return answer.code


def json_document(content: Mapping[str, Any]) -> str:
    """JSON with a newline at its end; a number that JSON cannot hold becomes null."""
    return json.dumps(_plain(content), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return value if isfinite(value) else None
    if is_dataclass(value) and not isinstance(value, type):
        return _plain(asdict(value))
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset | Iterator):
        return [_plain(item) for item in value]
    return with_urls(str(value)) if isinstance(value, Path) else value
