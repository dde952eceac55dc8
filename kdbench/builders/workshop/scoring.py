"""What models think of given texts: numbers of each text, kept on disk as they come."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kdbench.builders.workshop.models import BuildModel
from kdbench.distillation.encoder import Encoder, Lengths
from kdbench.distillation.rows import TrainingRow
from kdbench.errors import InputError
from kdbench.protocol import Protocol
from kdbench.system.files import LinesFile
from kdbench.system.progress import progress
from kdbench.views.rollout import Batch, Example, Rollout
from kdbench.views.tokenizers import shared_tokens, vocabulary_size

if TYPE_CHECKING:
    import torch


_TOKENS = "tokens"  # of prompt and response together, in each line
_BATCH = 8  # texts in a forward pass


@dataclass(frozen=True)
class Text:
    """A response to score.

    Attributes:
        id: Unique among the texts of one call of `Workshop.score`.
        row: The row that asks.
        response: The response; None for the first reference of the row.
        ended: Whether an end token belongs to it.
    """

    id: str
    row: TrainingRow
    response: str | None = None
    ended: bool = True


@dataclass(frozen=True)
class Distributions:
    """The next-token distributions of models at the n tokens of a response.

    Attributes:
        text: The text.
        log_probs: Log-probabilities over V tokens by the model's key, float32 of (n, V).
        targets: The tokens of the response, int64 of (n,).
    """

    text: Text
    log_probs: "Mapping[str, torch.Tensor]"
    targets: "torch.Tensor"

    def log_p(self, model: str) -> "torch.Tensor":
        """The log-probability of each token of the response, (n,)."""
        return self.log_probs[model].gather(-1, self.targets[:, None])[:, 0]


Measure = Callable[[Distributions], Mapping[str, Any]]
"""Returns numbers of a text, or lists of them, by name; ready for JSON, and finite."""


def score(
    file: Path,
    models: Sequence[BuildModel],
    protocol: Protocol,
    texts: Sequence[Text],
    measure: Measure,
    max_length: int,
    title: str,
) -> dict[str, dict[str, Any]]:
    """Read the numbers that exist, and measure those that are missing.

    Args:
        file: The file of the numbers of these texts by these models.
        models: The models, which must have the same tokens.
        protocol: Form of the prompts.
        texts: The texts, with different ids.
        measure: What is measured of each.
        max_length: Longest prompt and response together, in tokens.
        title: Title of the progress display.

    Returns:
        The numbers of each text by id. A text whose prompt leaves no room for a response, or whose
        response is empty, has none.

    Raises:
        InputError: A model is bad, or the models have different tokens.
    """
    kept = LinesFile(file)
    lines = {str(line["id"]): line["numbers"] for line in kept.stream()}
    if missing := [text for text in texts if text.id not in lines]:
        scorer = _Scorer(models, protocol, max_length)
        with (
            kept.appending() as add,
            progress(title, len(texts), len(lines), "texts", "scoring") as advance,
        ):
            for text, numbers in scorer.scores(missing, measure):
                lines[text.id] = numbers
                add.add({"id": text.id, "numbers": numbers})
                advance()
            add.sync()
    return {key: numbers for key, numbers in lines.items() if numbers is not None}


class _Scorer:
    """Models that are loaded, and how texts become their tokens."""

    def __init__(self, models: Sequence[BuildModel], protocol: Protocol, max_length: int):
        from kdbench.views.view import ModelView

        first = models[0]
        self._tokenizer = first.loaded[1]
        vocabulary = vocabulary_size(self._tokenizer)
        for other in models[1:]:
            shared = shared_tokens(self._tokenizer, other.loaded[1])
            if shared.difference is not None:
                raise InputError(
                    f"{other.key}={other.checkpoint.name}: its tokens are not those of "
                    f"{first.key}={first.checkpoint.name}: {shared.difference}"
                )
            vocabulary = min(vocabulary, shared.size)
        self._views: dict[str, ModelView] = {
            model.key: ModelView(model.loaded[0], vocabulary) for model in models
        }
        lengths = Lengths(max_length - 1, max_length, "drop")
        self._encoder = Encoder(self._tokenizer, protocol, lengths)
        self._device = next(iter(self._views.values())).bare.device

    def scores(
        self, texts: Sequence[Text], measure: Measure
    ) -> Iterator[tuple[Text, dict[str, Any] | None]]:
        """Yield each text with its numbers; None if it has no token to score."""
        import torch

        pairs = [(text, self._encode(text)) for text in texts]
        for text, example in pairs:
            if example is None:
                yield text, None
        known = [(text, example) for text, example in pairs if example is not None]
        for start in range(0, len(known), _BATCH):
            part = known[start : start + _BATCH]
            batch = Batch([_rollout(example) for _, example in part], self._device)
            with torch.inference_mode():
                yield from self._measured(part, batch, measure)

    def _encode(self, text: Text) -> Example | None:
        if text.response is None:
            encoded = self._encoder.encode(text.row)
            return encoded.example if encoded else None
        if not text.response.strip():
            return None
        return self._encoder.answered(text.row, text.response, text.ended)

    def _measured(
        self, part: "Sequence[tuple[Text, Example]]", batch: Batch, measure: Measure
    ) -> Iterator[tuple[Text, dict[str, Any]]]:
        states = {key: view.states(batch) for key, view in self._views.items()}
        start = 0
        for (text, example), length in zip(part, batch.lengths, strict=True):
            own = slice(start, start + length)
            start += length
            log_probs = {
                key: view.logits(states[key][own]).log_softmax(-1)
                for key, view in self._views.items()
            }
            numbers = measure(Distributions(text, log_probs, batch.targets[own]))
            yield text, {**numbers, _TOKENS: len(example.context) + length}


def _rollout(example: Example) -> Rollout:
    return Rollout(example.id, example.context, example.response_ids, "dataset")


def cost_of(
    numbers: Mapping[str, Mapping[str, Any]], parameters: Sequence[int | None]
) -> dict[str, Any]:
    """What scores cost: texts, tokens, and floating-point operations, two a parameter and token."""
    tokens = sum(int(found[_TOKENS]) for found in numbers.values())
    known = [count for count in parameters if count is not None]
    return {
        "scored_texts": len(numbers),
        "scored_tokens": tokens * len(parameters),
        "flops": 2 * sum(known) * tokens,
    }
