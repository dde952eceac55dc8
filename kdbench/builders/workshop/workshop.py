"""What a builder is given: rows, models that answer and score, draws, and a place for figures."""

import hashlib
import json
import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from kdbench.builders.workshop import sampling, scoring
from kdbench.builders.workshop.models import BuildModel
from kdbench.builders.workshop.protocol import protocol_of
from kdbench.builders.workshop.questions import ModelQuestion, ModelResponse
from kdbench.builders.workshop.scoring import Measure, TextToScore
from kdbench.builders.workshop.source import SourceRows
from kdbench.checkpoint import load_tokenizer
from kdbench.config.build_keys import BuildSettings
from kdbench.distillation.rows import TrainingRow
from kdbench.errors import InputError
from kdbench.protocol import Protocol
from kdbench.system.files import LinesFile

_DIGITS = 16  # of a hash in a file's name
_STRIDE = 1_000_003  # between the seeds of responses, so that builds of near seeds share none


class Workshop:
    """What a builder works with.

    All that models said is in files below `folder`, named by a hash of who was asked what; so a
    builder that is called again continues where it was interrupted.

    Args:
        settings: The settings of the build.
        source: The rows to read.
        models: The models that the builder's keys name, by key.
        folder: Where responses and scores are kept.

    Attributes:
        settings: The settings of the build.
        folder: Where responses and scores are kept.
        rows: The rows to read, as often as one likes; `rows.chunks()` yields lists of them.
        models: The models by key.
        figures: What the card says about the new set, by name.
        cost: What was asked of each model, by its key; what a server does not say is left out.
    """

    def __init__(
        self,
        settings: BuildSettings,
        source: SourceRows,
        models: Mapping[str, BuildModel],
        folder: Path,
    ):
        self.settings, self.rows, self.models = settings, source, models
        self.figures: dict[str, Any] = {}
        self.cost: dict[str, Counter[str]] = {}
        self._unknown, self._paid = set[tuple[str, str]](), set[tuple[Path, str]]()
        self.folder = folder
        self._protocol = protocol_of(settings)
        self._remove: Callable[[Mapping[str, Any]], None] | None = None

    # Rows and draws

    def chunks(self) -> Iterator[list[TrainingRow]]:
        """Yield the rows in lists of a fixed length, few in memory at once."""
        return self.rows.chunks()

    def random(self, *key: object) -> random.Random:
        """A generator of random numbers that depends on `seed=` and a key alone."""
        text = json.dumps([self.settings.seed, *map(str, key)])
        return random.Random(int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]))

    def removing_to(self, remove: Callable[[Mapping[str, Any]], None]) -> None:
        """Set what writes the rows that are left out."""
        self._remove = remove

    def remove(self, row: TrainingRow, reason: str, **facts: Any) -> None:
        """Record that a row is left out; `removed.jsonl` then has it with the reason.

        Args:
            row: The row.
            reason: Why, in a word or two; the card counts them.
            facts: What shows it, such as the text that it equals.
        """
        self.count(f"removed: {reason}")
        if self._remove is not None:
            self._remove({"id": row.id, "reason": reason, **facts, **row.asked})

    # Figures

    def count(self, name: str, amount: int = 1) -> None:
        """Add to a number of the card."""
        self.figures[name] = self.figures.get(name, 0) + amount

    def figure(self, name: str, value: Any) -> None:
        """Set a number of the card; or a curve, as a list of points with their numbers by name."""
        self.figures[name] = value

    # Models

    def model(self, key: str) -> BuildModel:
        """The model that a key names.

        Raises:
            InputError: The key was not given.
        """
        if key not in self.models:
            raise InputError(f"{key}= is missing: name a checkpoint")
        return self.models[key]

    @property
    def response_limit(self) -> int:
        """The length at which responses end, in tokens."""
        return self._protocol.max_new_tokens

    def sample(
        self,
        key: str,
        questions: Sequence[ModelQuestion],
        samples: int = 1,
        step: str = "responses",
        **protocol: Any,
    ) -> Mapping[str, list[ModelResponse]]:
        """Ask a model, and return its responses by id of the question.

        Ask for a chunk of rows at a time; one call has all of its responses in memory.

        Args:
            key: The builder's key that names the model, such as `teacher`.
            questions: The questions, with different ids.
            samples: Responses to each question. The noise of each depends on `seed=`, the id of the
                question and its place among these.
            step: What is done, for the progress display and the card.
            protocol: Fields of the protocol to change, such as `temperature=0` (greedy).

        Raises:
            InputError: The model is bad, a prompt does not fit, or two questions have one id.
        """
        _check_ids("questions", questions)
        model, asked = self.model(key), self._protocol_of(samples, protocol)
        if not questions:
            return {}
        content = [[q.id, q.prompt, _message(q)] for q in questions]
        file = self._file(step, model.checkpoint.sha256, asked.as_dict(), content)
        lines = sampling.sample(file, model, asked, questions, f"{key} {step}")
        self._pay(file, key, sampling.cost_of(lines, model.parameters))
        return sampling.by_question(lines)

    def score(
        self,
        keys: Sequence[str],
        texts: Sequence[TextToScore],
        measure: Measure,
        step: str = "scores",
    ) -> Mapping[str, Mapping[str, Any]]:
        """Measure texts by the distributions of models, and return the numbers by id of the text.

        A text whose prompt leaves no room for a response, or whose response is empty, has none. All
        numbers are kept exactly.

        Args:
            keys: The builder's keys that name the models, which must have the same tokens.
            texts: The texts, with different ids.
            measure: Returns numbers of a text, none of them named `tokens`, which is the text's
                length. It is called once for each text, ever; a change of it needs another `step`.
            step: What is measured; part of the file's name.

        Raises:
            InputError: A model is bad, the models have different tokens, two texts have one id, or
                the measure returns what cannot be kept.
        """
        _check_ids("texts", texts)
        models = [self.model(key) for key in keys]
        if not texts:
            return {}
        content = [[t.id, t.row.content, t.response, t.ended] for t in texts]
        hashes = [model.checkpoint.sha256 for model in models]
        length, form = self.settings.max_length, self._protocol
        file = self._file(step, [*keys, *hashes], [form.as_dict(), length], content)
        numbers = scoring.score(file, models, form, texts, measure, length, step)
        for key, model in zip(keys, models, strict=True):
            self._pay(file, key, scoring.cost_of(numbers, [model.parameters]))
        return numbers

    def check_tokens(self, keys: Sequence[str]) -> None:
        """Check that models have the same tokens, before one of them is asked or loaded.

        Args:
            keys: The builder's keys that name them.

        Raises:
            InputError: They have different ones.
        """
        models, trusted = [self.model(key) for key in keys], self.settings.trust_remote_code
        tokenizers = [load_tokenizer(model.checkpoint, trusted) for model in models]
        scoring.shared_vocabulary(models, tokenizers)

    def kept_lines(self, step: str, *content: object) -> LinesFile:
        """A file for work of another kind, which the builder extends and reads again.

        A line keeps six decimals of a number, so a builder works with what it reads back.

        Args:
            step: What is done.
            content: All that its lines depend on, ready for JSON.
        """
        return LinesFile(self._file(step, *content))

    def stop(self) -> None:
        """Stop the engines."""
        for model in self.models.values():
            model.stop()

    def _protocol_of(self, samples: int, changes: Mapping[str, Any]) -> Protocol:
        asked = self._protocol.override(changes) if changes else self._protocol
        seeds = (self.settings.seed + place * _STRIDE for place in range(samples))
        return replace(asked, seeds=tuple(seed % 2**32 for seed in seeds))

    def _file(self, step: str, *content: object) -> Path:
        text = json.dumps(content, ensure_ascii=False, sort_keys=True)
        name = hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]
        return self.folder / step.replace(" ", "-") / f"{name}.jsonl"

    def _pay(self, file: Path, key: str, cost: Mapping[str, int | None]) -> None:
        """Count a cost, once for each file: what is read again is not asked again."""
        if (file, key) in self._paid:
            return
        self._paid.add((file, key))
        paid = self.cost.setdefault(key, Counter())
        for name, amount in cost.items():
            if amount is None:  # a sum of some would pass for the sum of all
                self._unknown.add((key, name))
                del paid[name]
            elif (key, name) not in self._unknown:
                paid[name] += amount


def _check_ids(what: str, asked: "Sequence[ModelQuestion] | Sequence[TextToScore]") -> None:
    """Check that the ids of one call differ, as each stands for one answer.

    Raises:
        InputError: Two are equal.
    """
    for name, count in Counter(one.id for one in asked).most_common(1):
        if count > 1:
            raise InputError(f"two {what} of one call have the id '{name}'; give each its own")


def _message(question: ModelQuestion) -> object:
    if isinstance(question.message, str):
        return question.message
    return [[turn.role, turn.content] for turn in question.message]
