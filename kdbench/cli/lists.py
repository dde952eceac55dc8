"""The verbs that list what is installed: tasks, metrics, methods, backends and protocols."""

from typing import Any

from kdbench.cli.app import verb
from kdbench.cli.help import first_line, plain
from kdbench.errors import InputError
from kdbench.system.console import say
from kdbench.text import aligned


@verb("tasks")
def _tasks(arguments: list[str]) -> None:
    """List the installed tasks, including plug-ins."""
    from kdbench.task import TITLES, known_tasks

    _refuse_arguments(arguments)
    _list([(name, TITLES.get(name, ""), str(path)) for name, path in known_tasks().items()])
    say("lm-eval's own tasks, groups and tags: tasks=lm_eval:NAME, such as lm_eval:arc_easy")


@verb("metrics")
def _metrics(arguments: list[str]) -> None:
    """List the installed metrics, including plug-ins."""
    from kdbench.metrics import (
        PositionMetric,
        PromptMetric,
        TeacherMetric,
        in_headline_set,
        metrics,
    )

    def needs(kind: Any) -> str:
        if issubclass(kind, PositionMetric):
            return " ".join(f"@{positions}" for positions in kind.sets)
        if issubclass(kind, PromptMetric):
            return "@k"
        return "needs a teacher" if issubclass(kind, TeacherMetric) else ""

    _refuse_arguments(arguments)
    better = {"higher": "higher is better", "lower": "lower is better", "none": ""}
    kinds = [metrics.get(name) for name in metrics.names()]
    headline = ["headline" if in_headline_set(kind) else "" for kind in kinds]
    _list(
        [
            (
                kind.name,
                kind.unit,
                better[kind.direction],
                mark,
                needs(kind),
                first_line(kind.__doc__),
            )
            for kind, mark in zip(kinds, headline, strict=True)
        ]
    )


@verb("methods")
def _methods(arguments: list[str]) -> None:
    """List the installed distillation methods, including plug-ins."""
    from kdbench.methods import methods

    _refuse_arguments(arguments)
    for name in methods.names():
        method = methods.get(name)
        say(f"{name}  {first_line(method.__doc__)}")
        _list([("", field, text) for field, text in method().describe().items()])


@verb("backends")
def _backends(arguments: list[str]) -> None:
    """List the installed generation backends, including plug-ins."""
    from kdbench.generate import backends

    _refuse_arguments(arguments)
    _list([(name, first_line(backends.get(name).__doc__)) for name in backends.names()])


@verb("protocols")
def _protocols(arguments: list[str]) -> None:
    """List the protocols and their fields."""
    from kdbench.protocol import PROTOCOLS

    _refuse_arguments(arguments)
    for protocol in PROTOCOLS.values():
        fields = {key: value for key, value in protocol.as_dict().items() if key != "name"}
        pairs = (f"{key}={plain(value)}" for key, value in fields.items())
        say(f"{protocol.name}: {' '.join(pairs)}")


def _list(rows: list[tuple[str, ...]]) -> None:
    for line in aligned(rows, left=range(len(rows[0]))):
        say(line)


def _refuse_arguments(arguments: list[str]) -> None:
    if arguments:
        raise InputError(f"'{arguments[0]}': this command takes no arguments")
