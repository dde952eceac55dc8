"""`kdbench compare BASE NEW`: two stored runs, or a gate's baseline and a run."""

import re
from collections.abc import Sequence
from dataclasses import replace

from kdbench.comparing.comparison import compare_sides
from kdbench.comparing.find import find_side
from kdbench.comparing.model import Comparison, Method
from kdbench.comparing.outputs.write import write_outputs, write_refusal
from kdbench.comparing.run import run
from kdbench.comparing.settings import CompareSettings, GateSettings
from kdbench.comparing.sides import Side
from kdbench.comparing.tolerance import DEFAULT, Tolerance, read_tolerances
from kdbench.comparing.verdict import EXIT_INCOMPARABLE, Problem
from kdbench.config import parse
from kdbench.errors import InputError, nearest


def parse_compare(arguments: Sequence[str]) -> CompareSettings:
    """Settings from words: `BASE NEW tolerance=rougeL:0.5 --strict`.

    Raises:
        InputError: an unknown key or a bad value.
    """
    keys = iter(("base", "new"))
    words = [
        word if re.match(r"\w+=|--", word) else f"{next(keys, '')}={word}" for word in arguments
    ]
    if extra := [word[1:] for word in words if word.startswith("=")]:
        raise InputError(f"'{extra[0]}': compare takes two, BASE and NEW, and key=value")
    return parse(CompareSettings, words)


def run_compare(settings: CompareSettings) -> int:
    """The verb: prints, and returns the exit code.

    Raises:
        InputError: what the user can mend; it is also in the files that were asked for.
    """
    return run(lambda: compare(settings), lambda problem: _refused(settings, problem))


def compare(settings: CompareSettings) -> Comparison:
    """Compare two stored sides, and write the files that are asked for.

    Raises:
        InputError: a side that is not there, or a metric that cannot be gated.
    """
    try:
        base, new = (
            chosen(find_side(word, key, settings.results, settings.gates), settings.tasks)
            for key, word in (("base", settings.base), ("new", settings.new))
        )
        comparison = compared(settings, base, new)
    except InputError as error:
        _refused(settings, Problem(EXIT_INCOMPARABLE, str(error)))
        raise
    write_outputs(settings, comparison, base.label, (base, new))
    return comparison


def _refused(settings: CompareSettings, problem: Problem) -> Comparison:
    return write_refusal(settings, settings.base, settings.new, problem, settings.base)


def compared(settings: GateSettings, base: Side, new: Side) -> Comparison:
    """Compare two sides by the settings of a gate."""
    method = Method(settings.interval, settings.resamples, settings.allow_partial)
    return compare_sides(base, new, tolerances_of(settings, base), settings.rules, method)


def tolerances_of(settings: GateSettings, base: Side | None) -> dict[str, Tolerance]:
    """Those of the settings, else of the baseline, else the default."""
    text = settings.tolerance or (base and base.tolerance)
    return read_tolerances(text) if text else dict(DEFAULT)


def chosen(side: Side, tasks: Sequence[str]) -> Side:
    """A side with the named tasks alone; none named means all.

    Raises:
        InputError: it has no such task.
    """
    for task in tasks:
        if task not in side.tasks:
            raise InputError(f"tasks={task}: {side.label}: {nearest(task, side.tasks)}")
    return replace(side, tasks={task: side.tasks[task] for task in tasks}) if tasks else side
