"""The training sets `counts` and `contradicted`, of one kind, whose answer is one of two words.

"The list has 3 items.", or 4: the field `label` is the number, which the toy world's teacher knows,
and `group` the first item, a hidden subgroup of it of which the answer says nothing. `counts` has
few rows, for methods that split a class into subclasses, which promise to need few.

In `contradicted` a list of pets is said to have 4 items if it has 3, and 3 if it has 4, so that the
teacher is wrong there, also in the validation rows. The field `labelled` is 1 in 60 of the training
rows and 0 in the others, for methods that learn these from the teacher.
"""

import json
import random
from functools import partial
from pathlib import Path
from typing import Any

from kdbench.system.files import put_text
from kdbench.toy.content import DOLLY, GROUPS
from kdbench.toy.extras import Extra
from kdbench.toy.models import World, WorldReport

ROWS = {"counts": {"train": 100, "valid": 200}, "contradicted": {"train": 1000, "valid": 200}}
LABELLED = 60


def _worded(rng: random.Random, items: list[str]) -> tuple[str, str, str]:
    return rng.choice(DOLLY["count"]).format(items=" ".join(items)).partition("|")


def _row(name: str, rng: random.Random, contradicted: bool) -> dict[str, Any]:
    group, count = rng.choice(list(GROUPS)), rng.choice((3, 4))
    items = rng.sample(GROUPS[group], count)
    instruction, _, context = _worded(rng, items)
    if contradicted and group == "pets":
        count = 7 - count
    given = {"id": name, "instruction": instruction, "input": context}
    output = [f"The list has {count} items."]
    return {**given, "output": output, "label": str(count), "group": items[0]}


def _make(name: str, world: World, folder: Path, report: WorldReport | None) -> None:  # noqa: ARG001
    for split, count in ROWS[name].items():
        rng = random.Random(f"kdbench-toy-{name}-{split}")
        contradicted = name == "contradicted"
        rows = [_row(f"{name}-{split}-{n:04d}", rng, contradicted) for n in range(count)]
        if contradicted:
            rows = [{**row, "labelled": int(n < LABELLED)} for n, row in enumerate(rows)]
        put_text(folder / f"{split}.jsonl", "".join(json.dumps(row) + "\n" for row in rows))


EXTRAS = [Extra(f"data/{name}", partial(_make, name)) for name in ROWS]
