"""Write `kdbench/api/functions.py`, the signatures of the public functions, from the settings.

    python tests/helpers/api_functions.py

`tests/api/test_functions.py` fails if the file differs from what this makes.
"""

import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from kdbench import config
from kdbench.builders import builders
from kdbench.comparing.settings import CompareSettings, PlanSettings, RegressSettings
from kdbench.config import Settings, fields_by_key
from kdbench.config.build_keys import BuildSettings
from kdbench.config.kinds import key_groups
from kdbench.config.kld import KldSettings
from kdbench.judging.settings import JudgeSettings
from kdbench.methods import methods
from kdbench.registry import Registry

FILE = Path(__file__).parents[2] / "kdbench" / "api" / "functions.py"

# Keys of type str whose value can be the path of a file or folder.
_PATHS = {"against", "base", "baseline", "judge", "judge_against", "model", "new", "recipe", "run"}
_PATHS |= {"student", "table", "task", "tasks", "teacher", "train_set", "undistilled", "valid_set"}
_PATHS |= {"strong", "weak"}
_TAKE_ROWS = {"evaluate", "judge", "regress"}
_COMMAND_LINE = {"dry_run"}
_INPUT = "Anything about {} that the caller can fix."


@dataclass(frozen=True)
class Function:
    """A public function.

    Attributes:
        name: Its name.
        verb: The verb of the command line.
        summary: First line of its description.
        kind: Settings whose keys it takes.
        returns: Module and class of what it returns.
        result: What it returns, for the description.
        raises: When it raises InputError.
        positional: Keys that can be given by position.
        excluded: Keys that only the command line takes.
    """

    name: str
    verb: str
    summary: str
    kind: type[Settings]
    returns: str
    result: str
    raises: str
    positional: Sequence[str] = ()
    excluded: frozenset[str] = frozenset()


FUNCTIONS = [
    Function(
        "evaluate",
        "eval",
        "Measure a checkpoint, and compare it with its teacher.",
        config.EvalSettings,
        "kdbench.measuring.measurement:Evaluation",
        "The run's folder, and its results by task.",
        _INPUT.format("model, data, tasks or settings"),
        ["model"],
    ),
    Function(
        "score",
        "score",
        "Score texts made elsewhere, or score a stored run again.",
        config.ScoreSettings,
        "kdbench.measuring.measurement:Evaluation",
        "The run's folder, and its results by task.",
        _INPUT.format("samples, data or settings"),
    ),
    Function(
        "judge",
        "judge",
        "Have a model grade a stored run's responses, or compare two runs.",
        JudgeSettings,
        "kdbench.judging.work:JudgedRun",
        "The run's folder, and its results by task with the judge's metrics.",
        _INPUT.format("run, judge, data or settings"),
        ["run", "judge_against"],
    ),
    Function(
        "speed",
        "speed",
        "Time a model under a stated load: speed and latency.",
        config.SpeedSettings,
        "kdbench.serving.speed:SpeedMeasurement",
        "The speed under each load.",
        _INPUT.format("model, backend or settings"),
        ["model"],
    ),
    Function(
        "cache",
        "cache",
        "Keep a teacher's scores for many runs, or count what is kept.",
        config.CacheSettings,
        "kdbench.distillation.keeping:KeptScores",
        "What the cache holds, and what this call added.",
        _INPUT.format("models, data or settings"),
        ["out"],
    ),
    Function(
        "kld",
        "kld",
        "Compare a quantised model with its full one over plain text.",
        KldSettings,
        "kdbench.fidelity.plain.compare:TextComparison",
        "The figures, and the size of both models.",
        _INPUT.format("models, text or settings"),
        ["model"],
    ),
    Function(
        "train",
        "train",
        "Train a student with a distillation method.",
        config.TrainSettings,
        "kdbench.distillation.train:Trained",
        "The checkpoint's folder and its run card.",
        _INPUT.format("models, data or settings"),
    ),
    Function(
        "build",
        "build",
        "Read prompts and models, and write a data set.",
        BuildSettings,
        "kdbench.builders.workshop.build:Built",
        "The data set's folder and its card.",
        _INPUT.format("models, data or settings"),
        ["builder"],
    ),
    Function(
        "fill",
        "fill",
        "Train and measure what a table lacks, then draw it.",
        config.FillSettings,
        "kdbench.filling.filled:Filled",
        "The table's text, and what failed.",
        _INPUT.format("the table file, models or data"),
        ["table"],
    ),
    Function(
        "mechanisms",
        "mechanisms",
        "Show whether methods moved what their ideas should move.",
        config.MechanismSettings,
        "kdbench.filling.mechanism_table:MechanismTable",
        "The table, which `print` shows.",
        _INPUT.format("the table file or results"),
        ["table"],
        excluded=frozenset({"format"}),
    ),
    Function(
        "frontier",
        "frontier",
        "Compare students by their curves of quality against entropy.",
        config.FrontierSettings,
        "kdbench.frontiers.table:Frontier",
        "The curves and gains, which `print` shows.",
        _INPUT.format("the table file, models, data or settings"),
        ["table"],
        excluded=frozenset({"format"}),
    ),
    Function(
        "table",
        "table",
        "Build the comparison table from results and published numbers.",
        config.TableSettings,
        "kdbench.tables:Table",
        "The table, which `print` and a notebook show.",
        "Unreadable results or baselines, unknown settings, or an empty table.",
        ["results"],
        frozenset({"out", "format", "block", "check", "spread"}),
    ),
    Function(
        "report",
        "report",
        "Plot the quality of students against their fidelity, and write the report.",
        config.ReportSettings,
        "kdbench.site:Report",
        "The report's numbers and files.",
        "Unreadable results, none compared with a teacher, or an unknown setting.",
        ["results"],
    ),
    Function(
        "compare",
        "compare",
        "Compare two stored runs on the same prompts.",
        CompareSettings,
        "kdbench.comparing.model:Comparison",
        "The compared rows, and the gate's decision.",
        "A run does not exist, a metric cannot be gated, or a setting is unknown.",
        ["base", "new"],
    ),
    Function(
        "regress",
        "regress",
        "Gate a checkpoint against a baseline.",
        RegressSettings,
        "kdbench.comparing.regress:GateResult",
        "The comparison, or the baseline that was written.",
        _INPUT.format("model, baseline, data or settings"),
        ["model"],
    ),
    Function(
        "plan",
        "plan",
        "Estimate how many prompts and seeds a gate needs.",
        PlanSettings,
        "kdbench.comparing.plan:AnyPlan",
        "The plan, which `print` and a notebook show.",
        "The run does not exist or has no samples, or a setting is unknown.",
        ["run"],
    ),
]


@dataclass(frozen=True)
class Parameter:
    """A parameter of a function: its name, type, default as code ("" if required), and text."""

    name: str
    type: str
    default: str
    text: str


def parameters(function: Function) -> list[Parameter]:
    """The parameters of a function, those by position first, then by group as in the help."""
    fields = fields_by_key(function.kind)
    hidden = function.excluded | _COMMAND_LINE
    order = [key for keys in key_groups(function.kind).values() for key in keys]
    keys = [*function.positional, *(key for key in order if key not in function.positional)]
    known = [_parameter(function, key, fields[key]) for key in keys if key not in hidden]
    if function.name == "build":
        return [*known, *_own_parameters(builders)]
    if function.name != "train":
        return known
    # A recipe may name what the command line would have to.
    known = [
        Parameter(p.name, p.type, p.default, p.text)
        if p.default
        else Parameter(p.name, f"{p.type} | None", "None", p.text)
        for p in known
    ]
    return [*known, *_own_parameters(methods)]


def _parameter(function: Function, key: str, field: Any) -> Parameter:
    default = "" if field.is_required() else _code(field.get_default())
    kind, text = _type(field.annotation, key), field.description or ""
    if key == "tasks" and function.name in _TAKE_ROWS:
        # One sequence for names and rows, because mypy infers no type of a list from several.
        names = "Sequence[str | PathLike[str]"
        kind = kind.replace(names, f"{names} | Mapping[str, Any]")
        kind += " | HasRows | Mapping[str, Rows]"
        text = f"{_ended(text)} Or rows of prompts, or a mapping of names to such rows"
    return Parameter(key, kind, default, text)


def _own_parameters(registry: Registry[Any]) -> Iterator[Parameter]:
    """The keys of the built-in methods or builders; None is the own default of each."""
    found: dict[str, tuple[dict[str, None], dict[str, list[str]]]] = {}
    for name in registry.names():
        kind = registry.get(name)
        if not kind.__module__.startswith("kdbench."):
            continue
        for key, field in kind.model_fields.items():
            types, texts = found.setdefault(key, ({}, {}))
            types[_type(field.annotation, key)] = None
            texts.setdefault(field.description or "", []).append(name)
    for key, (types, texts) in sorted(found.items()):
        parts = dict.fromkeys(part for text in types for part in text.split(" | "))
        kinds = [part for part in parts if part != "None"]
        if {"int", "float"} <= set(kinds):
            kinds.remove("int")
        text = "; ".join(f"{text} ({', '.join(names)})" for text, names in texts.items())
        yield Parameter(key, " | ".join([*kinds, "None"]), "None", text)


def _type(annotation: Any, key: str) -> str:  # noqa: PLR0911
    """What may be given for a field: also paths for texts that name one, and any sequence."""
    origin, inside = get_origin(annotation), get_args(annotation)
    if annotation is type(None):
        return "None"
    if annotation is Path:
        return "str | PathLike[str]"
    if annotation is str:
        return "str | PathLike[str]" if key in _PATHS else "str"
    if annotation in (bool, int, float):
        return str(annotation.__name__)
    if origin is Literal:
        return f"Literal[{', '.join(map(_code, inside))}]"
    if origin is tuple and inside[-1] is not Ellipsis:
        return f"str | tuple[{', '.join(_type(item, key) for item in inside)}]"
    if origin is tuple:
        item = _type(inside[0], key)
        one = item if "str" in item else f"{item} | str"
        return f"{one} | Sequence[{item}]"
    if origin is dict:
        return "Mapping[str, str]" if inside[1] is str else "str | Mapping[str, Any]"
    if hasattr(annotation, "__metadata__"):
        return _type(inside[0], key)
    parts = [part for item in inside for part in _type(item, key).split(" | ")]
    assert parts, annotation
    return " | ".join(dict.fromkeys(parts))


def _code(value: Any) -> str:
    """A default as Python's code, with double quotes."""
    if isinstance(value, Path | str):
        return '"' + str(value).replace("\\", "\\\\").replace('"', '\\"') + '"'
    if isinstance(value, tuple):
        return "(" + ", ".join(map(_code, value)) + ("," if len(value) == 1 else "") + ")"
    return repr(value)


def _wrapped(text: str, indent: str, first: str) -> str:
    # A key=value of a description is never broken over two lines.
    return textwrap.fill(
        first + text,
        width=100,
        initial_indent=indent,
        subsequent_indent=indent + "    ",
        break_on_hyphens=False,
        break_long_words=False,
    )


def _definition(function: Function) -> Iterator[str]:
    known = parameters(function)
    yield "@keyed"
    yield f"def {function.name}("
    for place, parameter in enumerate(known):
        if place == len(function.positional):
            yield "    *,"
        kind = parameter.type
        if parameter.default == "None" and "None" not in kind.split(" | "):
            kind += " | None"
        end = f" = {parameter.default}" if parameter.default else ""
        yield f"    {parameter.name}: {kind}{end},"
    yield f') -> "{function.returns.partition(":")[2]}":'
    yield f'    """{function.summary}'
    yield ""
    yield f"    The keys are those of `kdbench {function.verb} --help`."
    yield ""
    yield "    Args:"
    for parameter in known:
        yield _wrapped(_ended(parameter.text), " " * 8, f"{parameter.name}: ")
    yield ""
    yield "    Returns:"
    yield _wrapped(function.result, " " * 8, "")
    yield ""
    yield "    Raises:"
    yield _wrapped(function.raises, " " * 8, "InputError: ")
    yield '    """'


def _ended(text: str) -> str:
    """The description as a sentence; a backslash of it stays one in a docstring."""
    text = re.sub(r"\s+", " ", text).replace("\\", "\\\\")
    return text if text.endswith((".", "!", "?")) else f"{text}."


def source() -> str:
    """The file's text, before ruff formats it."""
    returned = sorted({function.returns for function in FUNCTIONS})
    lines = [
        '"""The signatures of the public functions. Made by tests/helpers/api_functions.py."""',
        "",
        '# mypy: disable-error-code="empty-body"',
        "",
        "from collections.abc import Mapping, Sequence",
        "from os import PathLike",
        "from typing import TYPE_CHECKING, Any, Literal",
        "",
        "from kdbench.api.keyed import HasRows, Rows, keyed",
        "",
        "if TYPE_CHECKING:",
        *(
            f"    from {module} import {name}"
            for module, _, name in (place.partition(":") for place in returned)
        ),
    ]
    for function in FUNCTIONS:
        lines += ["", "", *_definition(function)]
    return "\n".join(lines) + "\n"


def formatted() -> str:
    """The file's text."""
    command = [sys.executable, "-m", "ruff", "format", "--stdin-filename", str(FILE), "-"]
    done = subprocess.run(
        command, input=source(), capture_output=True, encoding="utf-8", check=True, cwd=FILE.parent
    )
    return done.stdout


if __name__ == "__main__":
    FILE.write_text(formatted(), "utf-8")
