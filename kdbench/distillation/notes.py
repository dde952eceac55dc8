"""What a user should know about a training run before it begins, in a line each."""

import math
from collections.abc import Iterator
from typing import Any

from kdbench.distillation.data import DataSet
from kdbench.distillation.ingredients import Ingredients
from kdbench.generate.prompts import adds_bos
from kdbench.text import counted


def notes(ingredients: Ingredients) -> Iterator[str]:
    """Yield the lines: rows left out, cut or merged, a long epoch, a loss or BOS token left out."""
    lengths = ingredients.lengths
    for data in (ingredients.train, ingredients.valid):
        yield from _rows(data, lengths)
        yield from _merged(data)
    yield from _long_epoch(ingredients)
    if ingredients.student.has_router_loss and not ingredients.settings.router_loss:
        yield (
            "the student has experts, and the loss that balances their load is left out; "
            "router_loss= adds it"
        )
    tokenizer = ingredients.tokenizer
    if not ingredients.settings.add_bos and adds_bos(tokenizer):
        yield (
            f"the student's tokenizer puts {tokenizer.bos_token} before a text, and add_bos=false "
            "leaves it out; if the student was trained with it, pass add_bos=true here and in eval"
        )


def _long_epoch(ingredients: Ingredients) -> Iterator[str]:
    settings, recipe = ingredients.settings, ingredients.recipe
    examples, size = len(ingredients.train.examples), settings.batch_size
    epoch, usual = recipe.steps_of_epoch(examples), math.ceil(examples / size)
    if settings.steps is None and epoch > usual:
        yield (
            f"an epoch of {settings.method} has {counted(epoch, 'step')} (of other methods: "
            f"{usual}), as a step uses {recipe.prompts_per_step:.4g} new prompts "
            f"(batch_size={size}) and an epoch uses all {examples}"
        )


def _merged(data: DataSet) -> Iterator[str]:
    if merged := sum(example.context_ids is not None for example in data.examples):
        yield (
            f"{data.title}: in {merged} of {len(data.examples)} examples the tokenizer merges the "
            "end of the prompt with the start of the response, so that these responses are learned "
            "after other tokens than evaluation asks with"
        )


def _rows(data: DataSet, lengths: Any) -> Iterator[str]:
    if data.dropped:
        yield (
            f"{data.title}: {data.dropped} of {data.read} rows are left out, as their prompts are "
            f"longer than max_prompt_tokens={lengths.prompt} (long_prompts=cut cuts them)"
        )
    if data.cut:
        yield (
            f"{data.title}: {data.cut} of {len(data.examples)} responses are cut at "
            f"max_length={lengths.total} and have no end token"
        )
