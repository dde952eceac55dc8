"""The texts of the position sets: responses whose every token both models score."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from kdbench.generate import Prompt, Sample
from kdbench.task import Document
from kdbench.views import Origin, Rollout, SharedTokens, reference_tokens

REFERENCE_SEED = 0  # stands for the seed of references, which have none


@dataclass(frozen=True)
class ComparedText:
    """A response on which the two models are compared.

    Attributes:
        seed: Seed of the sample.
        rollout: Prompt and response as tokens; its `id` is the document's.
    """

    seed: int
    rollout: Rollout

    @property
    def key(self) -> tuple[str, int]:
        """Document and seed."""
        return self.rollout.id, self.seed

    @property
    def length(self) -> int:
        """Number of tokens of prompt and response."""
        return len(self.rollout.prompt_ids) + len(self.rollout.response_ids)


def reference_texts(
    documents: Sequence[Document], prompts: Mapping[str, Prompt], tokenizer: Any, limit: int
) -> list[ComparedText]:
    """Return the texts of `@ref`: the first reference of each document that has one.

    Args:
        documents: Documents of the task.
        prompts: The student's prompts, by document.
        tokenizer: The student's tokenizer.
        limit: Number of tokens at which a reference is cut.
    """
    return [
        ComparedText(
            REFERENCE_SEED,
            Rollout(
                document.id,
                prompts[document.id].ids,
                tuple(reference_tokens(tokenizer, document.references[0], limit)),
                "dataset",
            ),
        )
        for document in documents
        if document.references
    ]


def sampled_texts(
    samples: Sequence[Sample], prompts: Mapping[str, Prompt], tokenizer: Any, origin: Origin
) -> list[ComparedText]:
    """Return the texts of `@teacher` or `@student`: the sampled tokens.

    Args:
        samples: Samples in order. A sample that was stored without tokens is encoded again.
        prompts: The student's prompts, by document.
        tokenizer: The student's tokenizer.
        origin: The model that wrote the samples.
    """
    return [
        ComparedText(
            sample.seed,
            Rollout(
                sample.document,
                prompts[sample.document].ids,
                _response_tokens(sample, tokenizer),
                origin,
            ),
        )
        for sample in samples
    ]


def reencoded(
    samples: Sequence[Sample], writer: Any, ends: frozenset[int], reader: Any
) -> list[Sample]:
    """Return samples with their texts as tokens of a different tokenizer.

    Args:
        samples: Samples of one model.
        writer: Tokenizer of that model.
        ends: End tokens of that model.
        reader: Tokenizer whose tokens the samples get, with its end token where they have one.
    """
    return [replace(sample, tokens=_reencoded(sample, writer, ends, reader)) for sample in samples]


def _reencoded(sample: Sample, writer: Any, ends: frozenset[int], reader: Any) -> tuple[int, ...]:
    ended, text = sample.finish == "stop", sample.output
    if sample.tokens:
        ended = sample.tokens[-1] in ends
        written = sample.tokens[: -1 if ended else None]
        text = writer.decode(written, skip_special_tokens=False, clean_up_tokenization_spaces=False)
    ids = reader(text, add_special_tokens=False)["input_ids"]
    return (*ids, reader.eos_token_id) if ended else tuple(ids)


def _response_tokens(sample: Sample, tokenizer: Any) -> tuple[int, ...]:
    if sample.tokens:
        return sample.tokens
    ids = tokenizer(sample.output, add_special_tokens=False)["input_ids"]
    return (*ids, tokenizer.eos_token_id) if sample.finish == "stop" else tuple(ids)


def shared_texts(
    texts: Sequence[ComparedText], shared: SharedTokens, ends: frozenset[int]
) -> list[ComparedText]:
    """Return the texts that both models can score.

    If the models have different end tokens, the end of a response is not a position, because they
    could never agree on it. A response with a token that only one model knows is left out.

    Args:
        texts: Texts of a position set.
        shared: Tokens that both models know.
        ends: End tokens of both models.
    """
    kept = []
    for text in texts:
        rollout = text.rollout
        if not shared.same_end and rollout.response_ids[-1:] and rollout.response_ids[-1] in ends:
            rollout = replace(rollout, response_ids=rollout.response_ids[:-1])
        if rollout.response_ids and max(rollout.response_ids) < shared.size:
            kept.append(ComparedText(text.seed, rollout))
    return kept
