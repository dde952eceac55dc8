"""What an installed task, metric, method, backend or protocol is: `kdbench metrics NAME`."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from inspect import cleandoc
from typing import Any

from kdbench.cli.help import first_line, plain, variants_of
from kdbench.cli.look.sections import definition, entries, keys, section
from kdbench.errors import InputError, nearest

_BETTER = {"higher": "higher is better", "lower": "lower is better", "none": "neither is better"}
_SETS = {
    "ref": "the references",
    "student": "the student's own responses",
    "teacher": "the teacher's responses",
}


@dataclass(frozen=True)
class ExplainedKind:
    """A kind of installed part.

    Attributes:
        word: Word for one of them, as in error messages.
        names: Returns the names of all.
        lines: Returns the lines on one.
    """

    word: str
    names: Callable[[], Sequence[str]]
    lines: Callable[[str], Iterator[str]]


def explain(kind: str, name: str) -> Iterator[str]:
    """The lines on one installed part.

    Args:
        kind: The list's verb, such as `metrics`.
        name: Name of the part.

    Raises:
        InputError: There is no such part.
    """
    part = EXPLAINED[kind]
    known = part.names()
    if name not in known:
        raise InputError(f"unknown {part.word} '{name}': {nearest(name, known)}")
    yield from part.lines(name)


def _metric_names() -> Sequence[str]:
    from kdbench.metrics import metrics

    return metrics.names()


def _metric_lines(name: str) -> Iterator[str]:
    from kdbench.metrics import (
        OptionMetric,
        PositionMetric,
        PromptMetric,
        TeacherMetric,
        in_headline_set,
        metrics,
    )

    kind: Any = metrics.get(name)
    is_teacher = issubclass(kind, TeacherMetric)
    needs = ["references"] if kind.needs_reference else []
    needs += ["teacher="] if is_teacher else []
    needs += ["several responses to each prompt (seeds=1-8)"] * issubclass(kind, PromptMetric)
    needs += ["tasks scored by likelihood"] * issubclass(kind, OptionMetric)
    facts = [
        ("unit", f"{kind.unit}; {_BETTER[kind.direction]}"),
        ("measured", "by default" if in_headline_set(kind) else f"with metrics={name}"),
        ("needs", ", ".join(needs)),
        ("kind", _kind_of_metric(kind)),
        ("version", str(kind.version)),
    ]
    if issubclass(kind, PositionMetric):
        sets = [f"{name}@{text} on {_SETS.get(text, text)}" for text in kind.sets]
        facts += [
            ("results", "; ".join(sets)),
            ("headline", f"{name}@{kind.headline}"),
            ("top-k cache", "" if kind.from_top_k == "undefined" else f"{kind.from_top_k} value"),
            ("tokenizers", "may differ" if kind.across_tokenizers else "must be the same"),
        ]
    if is_teacher and kind.perfect is not None:
        facts.append(("equal models", f"{kind.perfect:g}"))
    if issubclass(kind, PromptMetric):
        facts.append(("results", f"{name}@k, for k = 1, 2, 4, … up to the number of responses"))
    yield from section(f"{name}: {first_line(kind.__doc__)}", facts)
    yield from definition(kind)
    teacher = " teacher=path/to/teacher" if is_teacher else ""
    seeds = " seeds=1-8" if issubclass(kind, PromptMetric) else ""
    yield from ["", "Example", f"  kdbench eval path/to/student{teacher}{seeds} metrics={name}"]


def _kind_of_metric(kind: Any) -> str:
    """What one number is about: the first line of the nearest base class of `kdbench.metrics`."""
    base = next(base for base in kind.__mro__ if base.__module__ == "kdbench.metrics._kinds")
    return first_line(base.__doc__).rstrip(".").lower()


def _method_names() -> Sequence[str]:
    from kdbench.methods import methods

    return methods.names()


def _method_lines(name: str) -> Iterator[str]:
    from kdbench.distillation.recipe import recipes
    from kdbench.methods import methods

    kind = methods.get(name)
    yield from section(
        f"{name}: {first_line(kind.__doc__)}",
        [
            *kind().describe().items(),
            ("row label", kind.title),
            ("teacher", "teacher= is needed" if kind.needs_teacher else "teacher= is not needed"),
            ("must be given", ", ".join(f"{key}=" for key in kind.required)),
            (
                "sampling",
                "plain samples: sampling_temperature=1 and sampling_top_p=1"
                if kind().plain_sampling
                else "",
            ),
            ("recipes", ", ".join(key for key in recipes() if key.endswith(f"/{name}"))),
        ],
    )
    yield from entries("Keys, besides those of kdbench train", keys(kind))
    yield from definition(kind)
    given = " teacher=path/to/teacher" if kind.needs_teacher else ""
    required = "".join(f" {key}=…" for key in kind.required)
    yield from [
        "",
        "Example",
        f"  kdbench train method={name} student=path/to/student{given} data=path/to/data{required}",
    ]


def _builder_names() -> Sequence[str]:
    from kdbench.builders import builders

    return builders.names()


def _builder_lines(name: str) -> Iterator[str]:
    from kdbench.builders import builders

    kind = builders.get(name)
    yield from section(f"{name}: {first_line(kind.__doc__)}", list(kind.describe().items()))
    yield from entries("Keys, besides those of kdbench build", keys(kind))
    listed = [(word, _variant(of)) for word, of in variants_of(kind).items()]
    yield from entries(f"Rules; kdbench build {name} by=NAME --help has their keys", listed)
    yield from definition(kind)
    models = "".join(f" {key}=path/to/{key}" for key in kind.models)
    rule = " by=random" if "by=random" in variants_of(kind) else ""
    command = f"kdbench build {name}{rule}{models} data=path/to/data train_set=dolly"
    yield from ["", "Example", f"  {command}"]


def _variant(kind: Any) -> str:
    """What a variant of a builder is."""
    facts = [f"{key}: {text}" for key, text in kind.describe().items()]
    return "; ".join([first_line(kind.__doc__).rstrip("."), *facts])


def _backend_names() -> Sequence[str]:
    from kdbench.generate import backends

    return backends.names()


def _backend_lines(name: str) -> Iterator[str]:
    from kdbench.generate import backends

    kind = backends.get(name)
    silent, secret = sorted(kind.silent_options), sorted(kind.secret_options)
    yield from section(
        f"{name}: {first_line(kind.__doc__)}",
        [
            ("batches", "of its own engine" if kind.own_engine else "batch_size="),
            ("options that change no text", ", ".join(silent)),
            ("options that are not stored", ", ".join(secret)),
        ],
    )
    yield from definition(kind)
    argument = ":hf" if name == "lm_eval" else ""
    yield from ["", "Example", f"  kdbench eval path/to/student backend={name}{argument}"]


def _protocol_names() -> Sequence[str]:
    from kdbench.protocol import PROTOCOLS

    return list(PROTOCOLS)


def _protocol_lines(name: str) -> Iterator[str]:
    from kdbench.config.protocol import ProtocolKeys
    from kdbench.protocol import PROTOCOLS, Protocol

    protocol = PROTOCOLS[name]
    meanings = dict(_attributes(Protocol.__doc__ or ""))
    yield f"{name}: how a checkpoint is asked; keys of eval override fields"
    fields = [
        (
            f"{key}={plain(value)}" if key in ProtocolKeys.model_fields else f"{key}: {value}",
            meanings.get(key, ""),
        )
        for key, value in protocol.as_dict().items()
        if key != "name"
    ]
    yield from entries("Fields", fields)
    yield from [
        "",
        "Example",
        f"  kdbench eval path/to/student protocol={name} max_new_tokens=128",
    ]


def _attributes(doc: str) -> Iterator[tuple[str, str]]:
    """The attributes that a docstring describes, each as one line."""
    name, text = "", ""
    for line in cleandoc(doc).partition("Attributes:\n")[2].splitlines():
        if line.startswith("    ") and line[4:5].strip() and ": " in line:
            if name:
                yield name, text
            name, _, text = line.strip().partition(": ")
        else:
            text = f"{text} {line.strip()}"
    if name:
        yield name, text


def _task_names() -> Sequence[str]:
    from kdbench.task import known_tasks

    return list(known_tasks())


def _task_lines(name: str) -> Iterator[str]:
    from kdbench.system.safe_yaml import read_yaml_file
    from kdbench.task import TITLES, known_tasks

    path = known_tasks()[name]
    try:
        content = read_yaml_file(path)
    except ValueError:  # a function of lm-eval, which only lm-eval reads
        content = {}
    content = content if isinstance(content, dict) else {}
    metadata, data = content.get("metadata") or {}, content.get("dataset_kwargs") or {}
    rows, page = data.get("set"), path.with_name("README.md")
    yield from section(
        f"{name}: {TITLES.get(name, 'task')}",
        [
            ("file", str(path)),
            ("version", str(metadata.get("version", ""))),
            ("group of", ", ".join(map(str, _list_of(content.get("task"))))),
            ("data", f"data=DIR with {rows}/test.jsonl, else the Hub" if rows else ""),
            (
                "on the Hub",
                " ".join(str(data[key]) for key in ("repository", "file") if key in data),
            ),
            ("closed answers", "yes" if metadata.get("closed_answers") else ""),
            ("more in", str(page) if page.is_file() else ""),
        ],
    )
    yield from ["", "Example", f"  kdbench eval path/to/student tasks={name} data=path/to/data"]


def _list_of(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


EXPLAINED: Mapping[str, ExplainedKind] = {
    "tasks": ExplainedKind("task", _task_names, _task_lines),
    "metrics": ExplainedKind("metric", _metric_names, _metric_lines),
    "methods": ExplainedKind("method", _method_names, _method_lines),
    "builders": ExplainedKind("builder", _builder_names, _builder_lines),
    "backends": ExplainedKind("backend", _backend_names, _backend_lines),
    "protocols": ExplainedKind("protocol", _protocol_names, _protocol_lines),
}
"""Kinds by the verb that lists them."""
