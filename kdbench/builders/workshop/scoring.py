"""What models think of given texts: numbers of each text, kept on disk as they come."""

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
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
class TextToScore:
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

    text: TextToScore
    log_probs: "Mapping[str, torch.Tensor]"
    targets: "torch.Tensor"

    def log_p(self, model: str) -> "torch.Tensor":
        """The log-probability of each token of the response, (n,)."""
        return self.log_probs[model].gather(-1, self.targets[:, None])[:, 0]


Measure = Callable[[Distributions], Mapping[str, Any]]
"""Returns numbers of a text, or lists of them, by name; ready for JSON, finite, none `tokens`."""


def score(
    file: Path,
    models: Sequence[BuildModel],
    protocol: Protocol,
    texts: Sequence[TextToScore],
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
        InputError: A model is bad, the models have different tokens, or the measure returns what
            cannot be kept.
    """
    kept = LinesFile(file)
    lines = dict(_read(kept))
    if any(text.id not in lines for text in texts):
        scorer = _Scorer(models, protocol, max_length)
        with (
            kept.appending() as add,
            progress(title, len(texts), len(lines), "texts", "scoring") as advance,
        ):
            for text, numbers in scorer.scores(texts, lines, measure):
                lines[text.id] = numbers
                add.add({"id": text.id, "numbers": _exact(text, numbers)})
                advance()
            add.sync()
    return {text.id: numbers for text in texts if (numbers := lines[text.id]) is not None}


def _exact(text: TextToScore, numbers: Mapping[str, Any] | None) -> str:
    """The numbers as JSON within JSON, as a line of a file keeps six decimals.

    A resumed build must read the numbers of an undisturbed one, to the last digit.

    Raises:
        InputError: One is not finite, or not a number.
    """
    try:
        return json.dumps(numbers, allow_nan=False)
    except TypeError as error:
        raise InputError(
            f"text '{text.id}': its measure must return numbers, or lists of them, by name: {error}"
        ) from None
    except ValueError:
        names = ", ".join(name for name, value in (numbers or {}).items() if _is_bad(value))
        raise InputError(
            f"text '{text.id}': {names} is not finite; a model gives infinite or undefined scores"
        ) from None


def _is_bad(value: object) -> bool:
    try:
        json.dumps(value, allow_nan=False)
    except ValueError:
        return True
    return False


def _read(file: LinesFile) -> Iterator[tuple[str, dict[str, Any] | None]]:
    for number, line in enumerate(file.stream(), start=1):
        try:
            yield line["id"], _numbers(json.loads(line["numbers"]))
        except (KeyError, TypeError, ValueError):
            raise InputError(f"{file.path}:{number}: damaged; delete the file") from None


def _numbers(value: object) -> dict[str, Any] | None:
    if value is not None and (not isinstance(value, dict) or _TOKENS not in value):
        raise ValueError
    return value


class _Scorer:
    """Models that are loaded, and how texts become their tokens."""

    def __init__(self, models: Sequence[BuildModel], protocol: Protocol, max_length: int):
        from kdbench.views.view import ModelView

        self._tokenizer = models[0].loaded[1]
        vocabulary = shared_vocabulary(models, [model.loaded[1] for model in models])
        for model in models:
            _check_embedding(model)
        self._views: dict[str, ModelView] = {
            model.key: ModelView(model.loaded[0], vocabulary) for model in models
        }
        lengths = Lengths(max_length - 1, max_length, "drop")
        self._encoder = Encoder(self._tokenizer, protocol, lengths)
        self._device = next(iter(self._views.values())).bare.device

    def scores(
        self, texts: Sequence[TextToScore], known: Collection[str], measure: Measure
    ) -> Iterator[tuple[TextToScore, dict[str, Any] | None]]:
        """Yield each text that is not known, with its numbers; None if it has no token to score.

        The batches are those of all texts, known or not: numbers depend on their batch in the last
        digits, and a resumed build has those of an undisturbed one.
        """
        import torch

        pairs = [(text, self._encode(text)) for text in texts]
        for text, example in pairs:
            if example is None and text.id not in known:
                yield text, None
        encoded = [(text, example) for text, example in pairs if example is not None]
        for start in range(0, len(encoded), _BATCH):
            part = encoded[start : start + _BATCH]
            if all(text.id in known for text, _ in part):
                continue
            batch = Batch([_rollout(example) for _, example in part], self._device)
            with torch.inference_mode():
                measured = list(self._measured(part, known, batch, measure))
            yield from measured

    def _encode(self, text: TextToScore) -> Example | None:
        if text.response is None:
            encoded = self._encoder.encode(text.row)
            return encoded.example if encoded else None
        if not text.response.strip():
            return None
        return self._encoder.answered(text.row, text.response, text.ended)

    def _measured(
        self,
        part: "Sequence[tuple[TextToScore, Example]]",
        known: Collection[str],
        batch: Batch,
        measure: Measure,
    ) -> Iterator[tuple[TextToScore, dict[str, Any]]]:
        states = {key: view.states(batch) for key, view in self._views.items()}
        start = 0
        for (text, example), length in zip(part, batch.lengths, strict=True):
            own = slice(start, start + length)
            start += length
            if text.id in known:
                continue
            log_probs = {
                key: view.logits(states[key][own]).log_softmax(-1)
                for key, view in self._views.items()
            }
            numbers = measure(Distributions(text, log_probs, batch.targets[own]))
            _check_names(text, numbers)
            yield text, {**numbers, _TOKENS: len(example.context) + length}


def shared_vocabulary(models: Sequence[BuildModel], tokenizers: Sequence[Any]) -> int:
    """The number of tokens that all models have, with the same ids.

    Args:
        models: The models.
        tokenizers: Their tokenizers.

    Raises:
        InputError: Two models have different tokens.
    """
    first, vocabulary = models[0], vocabulary_size(tokenizers[0])
    for other, tokenizer in zip(models[1:], tokenizers[1:], strict=True):
        shared = shared_tokens(tokenizers[0], tokenizer)
        if shared.difference is not None:
            raise InputError(
                f"{other.key}={other.checkpoint.name}: its tokens are not those of "
                f"{first.key}={first.checkpoint.name}: {shared.difference}"
            )
        vocabulary = min(vocabulary, shared.size)
    return vocabulary


def _check_embedding(model: BuildModel) -> None:
    """Check that a model has its tokenizer's tokens.

    Raises:
        InputError: It lacks some.
    """
    network, tokenizer = model.loaded
    has, needed = network.get_input_embeddings().num_embeddings, vocabulary_size(tokenizer)
    if has < needed:
        raise InputError(
            f"{model.key}={model.checkpoint.name}: its tokenizer has {needed} tokens, and its "
            f"embedding {has}: they do not belong together"
        )


def _check_names(text: TextToScore, numbers: object) -> None:
    """Check that a measure returns numbers by name.

    Raises:
        InputError: It returns something else, or uses the name of the text's length.
    """
    if not isinstance(numbers, Mapping):
        raise InputError(
            f"text '{text.id}': its measure must return numbers by name, not {numbers!r}"
        )
    if _TOKENS in numbers:
        raise InputError(
            f"a measure's number is named '{_TOKENS}', which is that of the text's length; "
            "rename it"
        )


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
