"""Tasks with one right answer, short or chosen from four, that no training row asks: `answers`.

Each task has questions of one kind, half of them of Dolly's test split, whose prompts no training
row has, and half in the wordings of `self_instruct`, which Dolly lacks. A response is right if its
final answer is: the last word of "Anna lives in Rome.", the whole of a reversed list. The group of
all tasks is `answers.yaml`.
"""

import json
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kdbench.system.bundled import bundled
from kdbench.system.files import put_text
from kdbench.toy.content import DOLLY, PEOPLE, SHIFTED
from kdbench.toy.corpus import RESPONSE_HEADER, ToyRow, alpaca_prompt, draw_example, split_of
from kdbench.toy.extras import Extra
from kdbench.toy.models import World, WorldReport

GROUP = "toy_answers"
ROWS = 40
_FACTS = ("city", "job", "pet", "colour")  # whose sentence ends with the fact
_LAST_WORD = r"(\w+)\W*$"
_OPTIONS = 4


@dataclass(frozen=True)
class AnswerTask:
    """A task.

    Attributes:
        name: Its name, without `toy_`.
        kinds: Kinds of the toy world's rows that it asks.
        answer: Regular expression that finds the final answer; None for a choice of options.
    """

    name: str
    kinds: tuple[str, ...]
    answer: str | None


TASKS = (
    AnswerTask("facts", _FACTS, _LAST_WORD),
    AnswerTask("older", ("older",), r"^(\w+)"),
    AnswerTask("sums", ("sum",), _LAST_WORD),
    AnswerTask("ends", ("first", "last"), r"^(.*\S)"),
    AnswerTask("reverse", ("reverse",), r"^(.*\S)"),
    AnswerTask("sort", ("sort",), r"^(.*\S)"),
    AnswerTask("choose_fact", _FACTS, None),
    AnswerTask("choose_sum", ("sum",), None),
)

_SHARED = """\
custom_dataset: !function rows.load
dataset_kwargs: {{file: {name}.jsonl}}
test_split: test
doc_to_text: "{{{{prompt}}}}"
"""
_SHORT = """\
task: toy_{name}
output_type: generate_until
{shared}target_delimiter: ""
doc_to_target: answer
generation_kwargs: {{until: [], do_sample: false, max_gen_toks: 24}}
filter_list:
  - name: final
    filter:
      - {{function: regex, regex_pattern: '{answer}'}}
      - {{function: take_first}}
metric_list:
  - {{metric: exact_match, aggregation: mean, higher_is_better: true}}
metadata: {{version: 1.0}}
"""
# The header of the response is one token of the toy world's models, which must not be divided.
_CHOICE = """\
task: toy_{name}
output_type: multiple_choice
{shared}target_delimiter: "{header}"
doc_to_choice: choices
doc_to_target: answer
metric_list:
  - {{metric: acc, aggregation: mean, higher_is_better: true}}
metadata: {{version: 1.0}}
"""


def answer_rows(task: AnswerTask) -> list[dict[str, Any]]:
    """The documents of a task, the same each time."""
    rng = random.Random(f"kdbench-toy-answers-{task.name}")
    found: dict[tuple[str, str], ToyRow] = {}
    draws = _drawn(rng, task)
    while len(found) < ROWS:
        row = next(draws)
        found.setdefault((row.instruction, row.input), row)
    made = []
    for number, row in enumerate(found.values()):
        prompt = alpaca_prompt(row.instruction, row.input)
        given = {"id": f"{task.name}-{number:03d}", "prompt": prompt}
        if task.answer is None:
            given["prompt"] = prompt.removesuffix(RESPONSE_HEADER)
        made.append({**given, **(_choice(rng, row) if task.answer is None else _short(row))})
    return made


def _drawn(rng: random.Random, task: AnswerTask) -> Iterator[ToyRow]:
    """Rows of the task's kinds without end, half of them in wordings that Dolly lacks."""
    new = SHIFTED["self_instruct"]
    wordings = [{kind: of[kind] for kind in task.kinds} for of in (DOLLY, new)]
    while True:
        row = draw_example(rng, wordings[0])
        if split_of(row.instruction, row.input) == "test":
            yield row
            yield draw_example(rng, wordings[1])


def _short(row: ToyRow) -> Mapping[str, Any]:
    sentence, short = row.references[0], row.references[-1]
    return {"answer": sentence.partition(" ")[0] if row.kind == "older" else short}


def _choice(rng: random.Random, row: ToyRow) -> Mapping[str, Any]:
    """Four sentences that differ in the fact or in the sum, one of them right."""
    sentence, right = row.references
    if row.kind == "sum":
        near = [str(int(right) + gap) for gap in (-2, -1, 1, 2)]
        others = rng.sample(near, _OPTIONS - 1)
    else:
        known = dict.fromkeys(str(getattr(person, row.kind)) for person in PEOPLE)
        others = rng.sample([fact for fact in known if fact != right], _OPTIONS - 1)
    before, _, after = sentence.rpartition(right)
    choices = [f"{before}{fact}{after}" for fact in rng.sample([right, *others], _OPTIONS)]
    return {"choices": choices, "answer": choices.index(sentence)}


def _make(world: World, folder: Path, report: WorldReport | None) -> None:  # noqa: ARG001
    for task in TASKS:
        rows = answer_rows(task)
        put_text(folder / f"{task.name}.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
        shared = _SHARED.format(name=task.name)
        form = _CHOICE if task.answer is None else _SHORT
        header = RESPONSE_HEADER.replace("\n", "\\n")
        text = form.format(name=task.name, shared=shared, answer=task.answer, header=header)
        put_text(folder / f"toy_{task.name}.yaml", text)
    names = "".join(f"  - toy_{task.name}\n" for task in TASKS)
    put_text(folder / "answers.yaml", f"group: {GROUP}\ntask:\n{names}metadata: {{version: 1.0}}\n")
    put_text(folder / "rows.py", (bundled("tasks") / "skills" / "rows.py").read_text("utf-8"))


EXTRAS = [Extra("data/answers", _make)]
