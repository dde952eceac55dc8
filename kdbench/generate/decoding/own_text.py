"""Texts that a model writes itself, as probes of its decoding in a low precision.

On random tokens some models are so unsteady that rounding alone moves their logits by as much as a
wrong decoding does, as Gemma 3 in bfloat16, whose decoding agrees in float32. On text of their own
they are not.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from kdbench.generate.decoding.rowwise import AloneDecoding
from kdbench.views.probe import probe_tokens, special_tokens

if TYPE_CHECKING:
    import torch

_MOST = 64  # a longer text begins with random tokens, since each token of its own takes a step


def own_text(model: Any, vocabulary: int, lengths: Sequence[int]) -> list[tuple[int, ...]]:
    """Token ids of texts that a model samples, the same at every call.

    Each begins with the model's token for the beginning of a text, or a random one without it. Rows
    are sampled one at a time with the model's own cache. Whether that is right does not matter,
    since any text will do that the model finds likely.

    Args:
        model: a transformers model.
        vocabulary: number of tokens V; the ids are below it.
        lengths: of the texts.
    """
    import torch

    begin = getattr(model.config.get_text_config(), "bos_token_id", None)
    never = [token for token in special_tokens(model.config) if 0 <= token < vocabulary]
    texts = [list(tokens) for tokens in probe_tokens(model, vocabulary, lengths)]
    for text in texts:
        if isinstance(begin, int) and 0 <= begin < vocabulary:
            text[0] = begin
    chance = torch.Generator().manual_seed(0)
    for text in texts:
        given = max(1, len(text) - _MOST)
        decoding = AloneDecoding(model, vocabulary, [tuple(text[:given])], 1, len(text) - given)
        for place in range(given, len(text)):
            shares = _shares(decoding.logits[0], never)
            text[place] = int(torch.multinomial(shares, 1, generator=chance))
            if place + 1 < len(text):
                decoding.advance(torch.tensor([text[place]], device=model.device))
    return [tuple(text) for text in texts]


def _shares(logits: "torch.Tensor", never: Sequence[int]) -> "torch.Tensor":
    """Probabilities of a next token that is none of `never`; the logits, (V,), stay as they are."""
    import torch

    # `float` and `cpu` return the same tensor where nothing changes, so that is not written into.
    left_out = torch.tensor(never, dtype=torch.long)
    return logits.float().cpu().index_fill(0, left_out, -torch.inf).softmax(-1)
