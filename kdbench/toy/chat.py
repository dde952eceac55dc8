"""A toy chat model that thinks before it answers, and can be told not to.

Its chat template is like Qwen3's: the model writes `<think>`, a thought, `</think>` and the answer;
with `enable_thinking=false` the template writes an empty thought into the prompt.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kdbench.toy.content import DESCRIPTION, PEOPLE
from kdbench.toy.finetuning import IGNORED, EncodedRow, finetune_rows
from kdbench.toy.models import STUDENT, Size, random_model, unfinished_folder
from kdbench.toy.tokenizer import build_tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

START, END = "<think>", "</think>"
CHAT_STEPS = 500

THINKING_TEMPLATE = (
    "{%- for message in messages -%}"
    "{%- if message['role'] == 'assistant' -%}"
    "{{ '\\n\\n### Response:\\n' + message['content'] + eos_token }}"
    "{%- elif message['role'] == 'system' -%}"
    "{{ '### System:\\n' + message['content'] + '\\n\\n' }}"
    "{%- else -%}"
    "{{ '### Instruction:\\n' + message['content'] }}"
    "{%- endif -%}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}"
    "{{ '\\n\\n### Response:\\n' }}"
    "{%- if enable_thinking is defined and not enable_thinking -%}"
    f"{{{{ '{START}\\n\\n{END}\\n\\n' }}}}"
    "{%- endif -%}"
    "{%- endif -%}"
)


def chat_tokenizer(data: Path) -> PreTrainedTokenizerFast:
    """Return the toy tokenizer with the marks of the thinking and the chat template.

    Args:
        data: Folder of the toy corpus.
    """
    from tokenizers import AddedToken

    tokenizer = build_tokenizer(data)
    # As in Qwen3, the marks are tokens that decoding does not drop.
    tokenizer.add_tokens([AddedToken(mark, normalized=False) for mark in (START, END)])
    tokenizer.chat_template = THINKING_TEMPLATE
    return tokenizer


def thought_of(row: Mapping[str, Any]) -> str:
    """Return what the model is to think of a row: who its people are, or its list."""
    asked = f"{row['instruction']} {row['input']}"
    known = [DESCRIPTION.format(**vars(person)) for person in PEOPLE if person.name in asked]
    return " ".join(known) or str(row["input"]) or str(row["instruction"])


def encode_chat_row(
    tokenizer: PreTrainedTokenizerFast, row: Mapping[str, Any], thinks: bool
) -> EncodedRow:
    """Encode a corpus row as a chat, with its first reference as the answer.

    Args:
        tokenizer: Tokenizer of `chat_tokenizer`.
        row: Row of the corpus.
        thinks: Whether a thought precedes the answer.
    """
    message = f"{row['instruction']}\n\n{row['input']}".strip()
    prompt = tokenizer.apply_chat_template(
        [{"role": "user", "content": message}],
        tokenize=False,
        add_generation_prompt=True,
        enable_thinking=thinks,
    )
    thought = f"{START}\n{thought_of(row)}\n{END}\n\n" if thinks else ""
    ids = tokenizer(prompt).input_ids
    response = [*tokenizer(thought + row["output"][0]).input_ids, tokenizer.eos_token_id]
    return EncodedRow(ids + response, [IGNORED] * len(ids) + response)


def make_chat_model(
    folder: Path,
    data: Path,
    steps: int = CHAT_STEPS,
    size: Size = STUDENT,
    seed: int = 0,
    report: Callable[[int, float], None] | None = None,
) -> Path:
    """Train a chat model on Dolly's training rows, with and without a thought, unless it exists.

    Args:
        folder: Folder of the checkpoint.
        data: Folder of the toy corpus.
        steps: Number of optimiser steps.
        size: Size of the model.
        seed: Seed of the weights and the order of rows.
        report: Called after each step with its number and its loss in nats per token.

    Returns:
        The folder.
    """
    if folder.exists():
        return folder
    tokenizer = chat_tokenizer(data)
    model = random_model(tokenizer, size, seed)
    text = (data / "dolly" / "train.jsonl").read_text(encoding="utf-8")
    rows = [json.loads(line) for line in text.splitlines()]
    encoded = [encode_chat_row(tokenizer, row, thinks) for row in rows for thinks in (True, False)]
    finetune_rows(model, tokenizer, encoded, steps, learning_rate=5e-3, seed=seed, report=report)
    unfinished = unfinished_folder(folder)
    model.save_pretrained(unfinished)
    tokenizer.save_pretrained(unfinished)
    os.replace(unfinished, folder)
    return folder
