"""Toy instruction data: a closed world of people and lists, written in the `data=DIR` layout.

The toy models train on Dolly. The four other sets are for evaluation only and differ from Dolly as
the real benchmarks do: in wording, length of answers, task definitions and composed tasks.
"""

from __future__ import annotations

import json
import random
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from kdbench.system.files import put_text
from kdbench.toy.content import (
    DOLLY,
    FACTS,
    GROUPS,
    LONG_ANSWERS,
    PEOPLE,
    SHIFTED,
    Person,
    Wordings,
)

PREAMBLE = (
    "Below is an instruction that describes a task. "
    "Write a response that appropriately completes the request.\n\n### Instruction:\n"
)
PREAMBLE_WITH_INPUT = (
    "Below is an instruction that describes a task, paired with an input that provides further "
    "context. Write a response that appropriately completes the request.\n\n### Instruction:\n"
)
INPUT_HEADER = "\n\n### Input:\n"
RESPONSE_HEADER = "\n\n### Response:\n"


LIST_OPERATIONS: dict[str, Callable[[list[str]], list[str]]] = {
    "repeat": lambda items: items,
    "reverse": lambda items: items[::-1],
    "sort": sorted,
    "first": lambda items: items[:1],
    "last": lambda items: items[-1:],
}


@dataclass(frozen=True)
class ToyRow:
    """An instruction and its references, the full sentence first.

    Attributes:
        kind: Kind of task: `city`, `sort`, `reverse-first`.
        instruction: Text of the instruction.
        input: Text of the input, or empty.
        references: Accepted answers.
    """

    kind: str
    instruction: str
    input: str
    references: tuple[str, ...]


def alpaca_prompt(instruction: str, input: str) -> str:
    """Format a row as an Alpaca prompt; an empty `input` selects the short form."""
    if not input:
        return f"{PREAMBLE}{instruction}{RESPONSE_HEADER}"
    return f"{PREAMBLE_WITH_INPUT}{instruction}{INPUT_HEADER}{input}{RESPONSE_HEADER}"


def _draw_items(rng: random.Random, kind: str, group: str) -> list[str]:
    if kind == "keep":
        others = [item for name in GROUPS if name != group for item in GROUPS[name]]
        items = rng.sample(GROUPS[group], rng.randint(1, 2)) + rng.sample(others, 2)
        return rng.sample(items, len(items))
    return rng.sample(GROUPS[group], rng.randint(3, 4))


def _references(kind: str, people: list[Person], scene: Mapping[str, Any]) -> tuple[str, ...]:
    """The accepted answers of a scene, the full sentence first."""
    if kind in FACTS:
        return (FACTS[kind].format(**scene), str(scene[kind]))
    if kind == "sum":
        total = scene["a"] + scene["b"]
        return (f"{scene['a']} plus {scene['b']} is {total}.", str(total))
    if kind == "older":
        younger, older = sorted(people[:2], key=lambda person: person.age)
        return (f"{older.name} is older than {younger.name}.", older.name)
    if kind in LONG_ANSWERS:
        sentences = [
            sentence.format(**{**scene, **vars(people[index])})
            for sentence, index in LONG_ANSWERS[kind]
        ]
        return (" ".join(sentences),)
    return _list_references(kind, scene["list"], scene["group"])


def _list_references(kind: str, items: list[str], group: str) -> tuple[str, ...]:
    if kind == "count":
        return (f"The list has {len(items)} items.", str(len(items)))
    if kind == "keep":
        return (" ".join(item for item in items if item in GROUPS[group]),)
    for operation in kind.split("-"):
        items = LIST_OPERATIONS[operation](items)
    return (" ".join(items),)


def draw_example(rng: random.Random, wordings: Wordings, list_weight: int = 1) -> ToyRow:
    """Draw a kind of task, a wording and a scene.

    Args:
        rng: Source of randomness.
        wordings: Wordings to draw from, by kind.
        list_weight: Weight of kinds about lists; the others have weight 1.
    """
    weights = [list_weight if "{items}" in wordings[kind][0] else 1 for kind in wordings]
    (kind,) = rng.choices(list(wordings), weights)
    people = rng.sample(PEOPLE, 3)
    group = rng.choice(list(GROUPS))
    items = _draw_items(rng, kind, group)
    scene: dict[str, Any] = {
        **vars(people[0]),
        "other": people[1].name,
        "third": people[2].name,
        "animal": rng.choice(GROUPS["pets"]),
        **{number: rng.randint(1, 9) for number in "ab"},
        "group": group,
        "list": items,
        "items": " ".join(items),
    }
    instruction, _, context = rng.choice(wordings[kind]).format(**scene).partition("|")
    return ToyRow(kind, instruction, context, _references(kind, people, scene))


def split_of(instruction: str, context: str) -> str:
    """The only Dolly split that may hold this pair: "train", "valid" or "test".

    The rule is fixed, not random, so the splits are disjoint for all sizes and seeds.
    """
    bucket = zlib.crc32(f"{instruction}|{context}".encode()) % 20
    return "test" if bucket < 3 else "valid" if bucket < 5 else "train"


def _rows(rng: random.Random, wordings: Wordings, split: str = "") -> Iterator[ToyRow]:
    """Yield rows without end.

    Only training rows may repeat, and more of them are about lists, which are hard to learn.
    """
    seen: set[tuple[str, str]] = set()
    while True:
        row = draw_example(rng, wordings, list_weight=2 if split == "train" else 1)
        pair = (row.instruction, row.input)
        if pair in seen or split not in ("", split_of(*pair)):
            continue
        if split != "train":
            seen.add(pair)
        yield row


def _record(identity: str, folder: str, row: ToyRow) -> dict[str, Any]:
    references = row.references if folder == "super_natural" else row.references[:1]
    texts = {"id": identity, "instruction": row.instruction, "input": row.input}
    label = {"dolly": {"category": row.kind}, "super_natural": {"task": row.kind}}
    return {**texts, "output": list(references), **label.get(folder, {})}


def write_corpus(
    directory: Path, seed: int = 0, train: int = 6000, valid: int = 200, test: int = 100
) -> None:
    """Write all sets of the toy corpus; the same arguments give the same bytes.

    Args:
        directory: Folder of the sets.
        seed: Seed of the rows.
        train: Number of rows of Dolly's training split.
        valid: Number of rows of Dolly's validation split.
        test: Number of rows of each test file.

    Raises:
        ValueError: a size is negative, or above 1000 for an evaluation file, whose rows differ.
    """
    if min(train, valid, test) < 0 or max(valid, test) > 1000:
        raise ValueError(f"impossible sizes: {train=}, {valid=}, {test=}")
    sizes = {"train": train, "valid": valid, "test": test}
    files = [("dolly", split, DOLLY, size) for split, size in sizes.items()]
    files += [(folder, "test", wordings, test) for folder, wordings in SHIFTED.items()]
    for folder, split, wordings, size in files:
        rng = random.Random(f"kdbench-toy-{seed}-{folder}-{split}")
        rows = islice(_rows(rng, wordings, split if folder == "dolly" else ""), size)
        records = [
            _record(f"toy-{folder}-{split}-{number:04d}", folder, row)
            for number, row in enumerate(rows)
        ]
        lines = [json.dumps(record, ensure_ascii=False) + "\n" for record in records]
        put_text(directory / folder / f"{split}.jsonl", "".join(lines))
