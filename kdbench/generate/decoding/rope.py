"""Decoding with rotary positions that change with the length."""

from functools import partial
from typing import TYPE_CHECKING, Any

from kdbench.generate.decoding.rowwise import AloneDecoding
from kdbench.system.console import note_once
from kdbench.views.rope import rope_limit

if TYPE_CHECKING:
    from kdbench.generate.decoding.kinds import Begin, Decoding
    from kdbench.generate.decoding.prefill import Prompts


def within_rope(model: Any, vocabulary: int, begin: "Begin") -> "Begin":
    """A decoding for batches that stay below the length at which LongRoPE changes all positions.

    The longest row of a batch decides for all rows, and keys in a cache keep the positions of when
    they were made. So longer rows are decoded one at a time and begin anew where they grow longer,
    as in transformers' own `generate`.

    Args:
        model: a transformers model.
        vocabulary: number of tokens V.
        begin: the decoding below that length.

    Returns:
        `begin` itself for all other models.
    """
    limit = rope_limit(model.config)
    if limit is None:
        return begin
    alone: Begin = partial(AloneDecoding, model, vocabulary, renewed_after=limit)

    def choose(prompts: "Prompts", places: int, room: int) -> "Decoding":
        if max(map(len, prompts)) + room <= limit:
            return begin(prompts, places, room)
        note_once(
            f"{type(model).__name__}: rows are decoded one at a time: its rotary positions change "
            f"beyond {limit} tokens, which max_prompt_tokens= and max_new_tokens= allow"
        )
        return alone(prompts, places, room)

    return choose
