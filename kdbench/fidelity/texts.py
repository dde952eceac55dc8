"""Position sets: the responses whose every token both models score."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from kdbench.generate import Prompt, Sample
from kdbench.task import Document
from kdbench.views import Origin, Rollout, SharedTokens, reference_tokens

REFERENCE_SEED = 0  # of references, which have none


@dataclass(frozen=True)
class Text:
    """A response to score.

    Attributes:
        seed: of the sample.
        rollout: its `id` is the document's.
    """

    seed: int
    rollout: Rollout

    @property
    def key(self) -> tuple[str, int]:
        """Document and seed."""
        return self.rollout.id, self.seed


def reference_texts(
    documents: Sequence[Document], prompts: Mapping[str, Prompt], tokenizer: Any, limit: int
) -> list[Text]:
    """`@ref`: each document's first reference."""
    return [
        Text(
            REFERENCE_SEED,
            Rollout(
                one.id,
                prompts[one.id].ids,
                tuple(reference_tokens(tokenizer, one.references[0], limit)),
                "dataset",
            ),
        )
        for one in documents
    ]


def sampled_texts(
    samples: Sequence[Sample], prompts: Mapping[str, Prompt], tokenizer: Any, origin: Origin
) -> list[Text]:
    """`@teacher` and `@student`: the sampled tokens; a text without them is encoded again."""
    return [
        Text(
            one.seed,
            Rollout(one.document, prompts[one.document].ids, _tokens(one, tokenizer), origin),
        )
        for one in samples
    ]


def _tokens(sample: Sample, tokenizer: Any) -> tuple[int, ...]:
    if sample.tokens:
        return sample.tokens
    ids = tokenizer(sample.output, add_special_tokens=False)["input_ids"]
    return (*ids, tokenizer.eos_token_id) if sample.finish == "stop" else tuple(ids)


def shared_texts(
    texts: Sequence[Text],
    shared: SharedTokens,
    ends: frozenset[int],
) -> list[Text]:
    """The texts that both models can score.

    Where their end tokens differ, the end of a response is no position: neither could agree there.
    A response with a token that only one of them knows is left out; each reads its own prompt.

    Args:
        texts: those of a position set.
        shared: the tokens that both know.
        ends: both models' end tokens.
    """
    kept = []
    for text in texts:
        rollout = text.rollout
        if not shared.same_end and rollout.response_ids[-1:] and rollout.response_ids[-1] in ends:
            rollout = replace(rollout, response_ids=rollout.response_ids[:-1])
        if rollout.response_ids and max(rollout.response_ids) < shared.size:
            kept.append(Text(text.seed, rollout))
    return kept
