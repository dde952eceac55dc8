"""What data sources ask the models for: responses, and log-probabilities of response tokens."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch

from kdbench.errors import InputError
from kdbench.generate import Row, Sample
from kdbench.generate.decoding.generator import Generator
from kdbench.generate.decoding.guard import SoundDecodings
from kdbench.generate.decoding.interleaved import (
    InterleavedGenerator,
    Interleaving,
    of_interleaving,
)
from kdbench.generate.decoding.kinds import of_mixture
from kdbench.training.micro_batch import STUDENT, divergences_by_row, scalars_by_row
from kdbench.training.phases import Phases
from kdbench.training.work import Work
from kdbench.views.rollout import Batch, Rollout
from kdbench.views.view import View, bare_model


class RolloutSampler:
    """Samples responses from the models in training and scores tokens under the views.

    Args:
        work: Teacher, tokenizer, decoding and batch sizes.
        student: The student's model, not wrapped for several processes.
        decodings: How each model decodes.
        views: The views by name, as they are during training.
        autocast: The precision of the training.
        phases: Where seconds and tokens are counted.
    """

    def __init__(
        self,
        work: Work,
        student: Any,
        decodings: SoundDecodings,
        views: Mapping[str, View],
        autocast: Callable[[], AbstractContextManager[None]],
        phases: Phases,
    ):
        self._work, self._student, self._views = work, student, views
        self._decodings = decodings
        self._autocast, self._phases = autocast, phases

    def respond(
        self,
        asked: Sequence[Rollout],
        rows: Sequence[Row],
        step: int,  # noqa: ARG002 - for samplers that generate ahead
        view: str,
        teacher_weight: float = 0.0,
    ) -> list[Rollout]:
        """Sample the response of each rollout.

        Args:
            asked: Rollouts without a response.
            rows: Their prompts with their seeds.
            step: The number of the step, from 0.
            view: Who answers.
            teacher_weight: The teacher's share of each token's distribution; 0 is the view's.
        """
        answers = self.sample(rows, teacher_weight, view)
        return [one.answered(two.tokens) for one, two in zip(asked, answers, strict=True)]

    def sample(
        self, rows: Sequence[Row], teacher_weight: float = 0.0, view: str = STUDENT
    ) -> list[Sample]:
        """Sample a response to each row.

        Args:
            rows: Prompts with their seeds.
            teacher_weight: The teacher's share of each token's distribution; 0 is the view's.
            view: Who answers.

        Returns:
            The samples in the order of the rows.
        """
        work = self._work
        model = bare_model(self._student) if view == STUDENT else self._model_of(view)
        distribution = self._decodings.of(model)
        if teacher_weight:
            teacher = self._decodings.of(work.teacher)
            distribution = of_mixture(distribution, teacher, teacher_weight)
        size = work.generation_batch_size
        generator = Generator(model, work.tokenizer, work.sampling, size, distribution)
        return self._generated(generator, rows, view)

    def sample_interleaved(
        self, rows: Sequence[Row], rule: Interleaving
    ) -> tuple[list[Sample], list[list[float]]]:
        """Sample a response of the student to each row, in which the teacher replaces tokens.

        Args:
            rows: Prompts with their seeds.
            rule: Which tokens are kept.

        Returns:
            The samples in the order of the rows, and for each token 1 if it is the teacher's.
        """
        work, model = self._work, bare_model(self._student)
        student, teacher = (self._decodings.of(known) for known in (model, work.teacher))
        begin = of_interleaving(student, teacher, rule)
        size = work.generation_batch_size
        generator = InterleavedGenerator(model, work.tokenizer, work.sampling, size, begin)
        samples = self._generated(generator, rows, STUDENT)
        return samples, [generator.replaced(row) for row in rows]

    def _generated(self, generator: Generator, rows: Sequence[Row], view: str) -> list[Sample]:
        """The samples of a generator, in the order of the rows."""
        self._student.eval()
        samples = {}
        # A decoding that begins under autocast casts the weights once for all its tokens.
        # A view's own context may also be what makes it another model, as without its adapter.
        in_view = nullcontext if view == STUDENT else self._views[view].autocast  # type: ignore[attr-defined]
        with self._phases("generate"), self._autocast(), in_view():
            for batch in generator.batches(rows):
                for sample in generator.generate(batch, ()):
                    samples[sample.document, sample.seed] = sample
        self._phases.count("generate", sum(len(sample.tokens) for sample in samples.values()))
        return [samples[row.document, row.seed] for row in rows]

    def prompts(self, rollouts: Sequence[Rollout], view: str) -> list[tuple[int, ...]]:
        """The prompt of each rollout as a view is shown it."""
        prompt_of = getattr(self._views.get(view), "prompt_ids", None)
        if prompt_of is None:
            return [rollout.prompt_ids for rollout in rollouts]
        return [prompt_of(rollout) for rollout in rollouts]

    def text(self, rollout: Rollout) -> str:
        """The text of a response, without special tokens."""
        text: str = self._work.tokenizer.decode(rollout.response_ids, skip_special_tokens=True)
        return text

    def _model_of(self, view: str) -> Any:
        """The model of a view.

        Raises:
            InputError: There is no such view, or it is not a model.
        """
        model = getattr(self._views.get(view), "bare", None)
        if model is None:
            models = [name for name, known in self._views.items() if hasattr(known, "bare")]
            raise InputError(
                f"the view '{view}' cannot answer prompts; those that can are {', '.join(models)}"
            )
        return model

    def score(
        self, rollouts: Sequence[Rollout], view: str, kind: str = "log_prob"
    ) -> list[list[float]]:
        """A value of each response token under a view's current model; see `MicroBatch.scalars`.

        Args:
            rollouts: The responses.
            view: Who scores.
            kind: `log_prob` or `entropy`, or `divergence`, KL(view‖student).
        """
        values: list[list[float]] = []
        size, chunk = self._work.micro_batch_size, self._work.chunk_tokens
        device = bare_model(self._student).device
        self._student.eval()
        with self._phases("record"), torch.no_grad():
            for start in range(0, len(rollouts), size):
                batch = Batch(rollouts[start : start + size], device)
                if kind == "divergence":
                    values += divergences_by_row(batch, self._views, view, chunk)
                else:
                    values += scalars_by_row(kind, batch, self._views[view], chunk)
        return values
