"""The checkpoint `context-student`: the toy student, which has also learned to read a context.

The student of the toy world never saw anything before the question and answers nonsense after it.
This one went on for 300 steps on Dolly's training rows, a quarter of which have their own answer
before the question, and a quarter four other rows with theirs; in the forms that the methods of
self-distillation write by default. For methods whose teacher is the student with a context.
"""

import json
import random
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kdbench.toy.corpus import alpaca_prompt
from kdbench.toy.extras import Extra
from kdbench.toy.finetuning import IGNORED, EncodedRow, encode_row, finetune_rows
from kdbench.toy.models import World, WorldReport

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

STEPS, RATE, SEED = 300, 2e-3, 0
SHOTS = 4
PLACE = "context-student"


def _make(world: World, folder: Path, report: WorldReport | None) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(world.student)
    model = AutoModelForCausalLM.from_pretrained(world.student)
    text = (world.data / "dolly" / "train.jsonl").read_text("utf-8")
    rows = [json.loads(line) for line in text.splitlines()]
    encoded = _with_contexts(tokenizer, rows)
    told = None if report is None else lambda step, loss: report(PLACE, step, loss)
    finetune_rows(model, tokenizer, encoded, STEPS, learning_rate=RATE, seed=SEED, report=told)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _with_contexts(
    tokenizer: "PreTrainedTokenizerFast", rows: list[dict[str, Any]]
) -> list[EncodedRow]:
    """Each row as it is, with its own answer, or with other rows before it."""
    rng, encoded = random.Random("kdbench-toy-contexts"), []
    for row in rows:
        kind = rng.choice(("plain", "plain", "answer", "shots"))
        context = f"{row['output'][0]}\n\n" if kind == "answer" else ""
        if kind == "shots":
            context = "".join(_shot(other) for other in rng.sample(rows, SHOTS))
        before = tokenizer(context).input_ids if context else []
        plain = encode_row(tokenizer, row)
        encoded.append(EncodedRow(before + plain.ids, [IGNORED] * len(before) + plain.targets))
    return encoded


def _shot(row: dict[str, Any]) -> str:
    return f"{alpaca_prompt(row['instruction'], row['input'])}\n{row['output'][0]}\n\n"


EXTRAS = [Extra(PLACE, _make)]
