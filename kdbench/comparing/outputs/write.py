"""The files of a comparison, as settings ask for them."""

from collections.abc import Iterator

from kdbench.comparing.model import Comparison, Method
from kdbench.comparing.outputs.junit import junit
from kdbench.comparing.outputs.markdown import markdown
from kdbench.comparing.outputs.numbers import numbers
from kdbench.comparing.outputs.words import worst
from kdbench.comparing.settings import GateSettings
from kdbench.comparing.sides import Side
from kdbench.comparing.verdict import Problem
from kdbench.system.files import put_text, write_json

_TEXTS = 5  # worst prompts whose responses are shown


def write_outputs(
    settings: GateSettings, comparison: Comparison, name: str, sides: tuple[Side, ...] = ()
) -> None:
    """Write the files that were asked for.

    Args:
        settings: say which.
        comparison: what to say.
        name: of the gate, for the comment's marker.
        sides: base and new run, whose texts a comment shows where there are samples.
    """
    if settings.markdown is not None:
        texts = dict(_texts(comparison, *sides)) if len(sides) == 2 else {}
        put_text(settings.markdown, markdown(comparison, name, texts))
    if settings.junit is not None:
        put_text(settings.junit, junit(comparison))
    if settings.json is not None:
        write_json(settings.json, numbers(comparison))


def write_refusal(
    settings: GateSettings, base: str, new: str, problem: Problem, name: str
) -> Comparison:
    """Write the files of a comparison that did not come about, so that CI has them too.

    Args:
        settings: say which files.
        base: what was to be compared with.
        new: what was to be judged.
        problem: why not.
        name: of the gate.
    """
    nothing = Comparison(base, new, (), (problem,), (), settings.rules, Method(), {})
    write_outputs(settings, nothing, name)
    return nothing


def _texts(
    comparison: Comparison, base: Side, new: Side
) -> Iterator[tuple[tuple[str, str], tuple[str, str]]]:
    lost = worst(comparison.rows, _TEXTS)
    for task in dict.fromkeys(row.task for row, _ in lost):
        old, now = base.texts(task), new.texts(task)
        for row, prompt in lost:
            if row.task == task and (prompt.id in old or prompt.id in now):
                both = old.get(prompt.id, "not kept"), now.get(prompt.id, "not kept")
                yield (task, prompt.id), both
