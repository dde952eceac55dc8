"""The card of a data set for people: README.md, as the Hugging Face Hub shows it."""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from kdbench.builders.workshop.card import DataCard
from kdbench.text import counted

README = "README.md"

_DIGITS = 12  # of a hash
_SPLITS = {"train": "train", "valid": "validation"}
_NOTE = (
    "The card states no licence. Whether the texts may be passed on depends on the licences of the "
    "data set that was read and of the models above; look them up and add `license:` to the head "
    "of this file."
)


def readme(card: DataCard) -> str:
    """The text of `README.md`: how the set was made, from what, and what that cost.

    Args:
        card: The content of `card.json`, from which nothing else is needed.
    """
    return "\n".join(line for part in _parts(card) for line in part) + "\n"


def _parts(card: DataCard) -> Iterator[Iterable[str]]:
    yield _head(card)
    adapted = [f"Adapted: {card.adapted}", ""] if card.adapted else []
    yield [f"# {card.set}: {card.title}", "", f"Described by {card.paper}.", "", *adapted]
    yield [
        f"{counted(card.rows_in, 'row')} of `{card.identity.data['set']}` read, "
        f"{counted(card.rows_out, 'row')} written, by kdbench {card.kdbench} with "
        f"`builder={card.builder}`. "
        "`card.json` says the same for programs, `run.json` has the command. Keys that are not "
        "listed have their default.",
        "",
    ]
    settings = {**card.identity.settings, **card.identity.parameters}
    settings.pop("builder", None)
    yield _table("Settings", ("key", "value"), ((f"`{k}`", v) for k, v in settings.items()))
    yield _table("Models", ("key", "name", "SHA-256"), _models(card))
    curves = {name: value for name, value in card.figures.items() if isinstance(value, list)}
    figures = ((name, value) for name, value in card.figures.items() if name not in curves)
    yield _table("Rows", ("figure", "value"), figures)
    for name, points in curves.items():
        if points:
            names = tuple(points[0])
            title = name[0].upper() + name[1:]
            yield _table(title, names, (tuple(point[key] for key in names) for point in points))
    yield _table("Cost", ("model", "asked for", "number"), _costs(card))
    files = ((f"`{name}`", f"`{sha256}`") for name, sha256 in card.files.items())
    yield _table("Files", ("file", "SHA-256"), files)
    yield ["## Licence", "", _NOTE]


def _head(card: DataCard) -> list[str]:
    """The metadata that the Hub and `datasets.load_dataset` read."""
    lines = ["---", f"pretty_name: {json.dumps(f'{card.set}: {card.title}')}", "configs:"]
    lines += [f"- config_name: {json.dumps(card.set)}", "  data_files:"]
    for name in card.files:
        split = _SPLITS.get(name.rpartition("/")[2].partition(".")[0])
        if split is not None:
            lines += [f"  - split: {split}", f"    path: {json.dumps(name)}"]
    return [*lines, "tags:", "- distillation", "- kdbench", "---", ""]


def _models(card: DataCard) -> Iterator[tuple[Any, ...]]:
    for key, model in card.identity.models.items():
        yield f"`{key}`", model["name"], f"`{str(model['sha256'])[:_DIGITS]}…`"


def _costs(card: DataCard) -> Iterator[tuple[Any, ...]]:
    for key, cost in card.cost.items():
        for name, amount in cost.items():
            words = "FLOPs" if name == "flops" else name.replace("_", " ")
            yield f"`{key}`", words, amount


def _table(title: str, names: tuple[str, ...], rows: Iterable[tuple[Any, ...]]) -> list[str]:
    """A section with a table; nothing if it has no row."""
    lines = [f"| {' | '.join(map(_cell, row))} |" for row in rows]
    if not lines:
        return []
    return [f"## {title}", "", f"| {' | '.join(names)} |", "|---" * len(names) + "|", *lines, ""]


def _cell(value: object) -> str:
    if isinstance(value, Mapping | list | tuple):
        return f"`{json.dumps(value, ensure_ascii=False)}`".replace("|", "\\|")
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return " ".join(str(value).split()).replace("|", "\\|")
