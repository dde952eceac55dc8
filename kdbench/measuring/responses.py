"""Stored samples as metrics take them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from kdbench.generate import Sample
from kdbench.measuring.own_scores import final_answers
from kdbench.measuring.thinking import knows_thinking
from kdbench.metrics import Answer
from kdbench.metrics.exact_match import ExactMatch
from kdbench.protocol import postprocess
from kdbench.store.samples import Samples
from kdbench.task import Task


class StoredResponses:
    """The responses to a task, made from its samples when they are asked for.

    Args:
        task: Task of the samples.
        seeds: Seeds of the samples.
        samples: Samples by document and seed.
    """

    def __init__(self, task: Task, seeds: Sequence[int], samples: Samples):
        self.task, self.seeds, self.samples = task, list(seeds), samples
        self._thinks = knows_thinking(samples)

    def of_document(self, index: int) -> list[Answer]:
        """Return the responses to a document, in the order of the seeds."""
        return [self._of(index, seed) for seed in self.seeds]

    def of_seed(self, seed: int) -> Iterator[Answer]:
        """Yield the responses of a seed, in document order."""
        return (self._of(index, seed) for index in range(len(self.task.documents)))

    def _of(self, index: int, seed: int) -> Answer:
        document = self.task.documents[index]
        return _answer(self.samples[document.id, seed], document.references, self._thinks)


def answers_of(task: Task, seeds: Sequence[int], samples: Samples) -> dict[int, list[Answer]]:
    """Return the responses as metrics take them, by seed and in document order."""
    thinks = knows_thinking(samples)
    return {
        seed: [
            _answer(samples[document.id, seed], document.references, thinks)
            for document in task.documents
        ]
        for seed in seeds
    }


def with_final_answers(
    task: Task, samples: Samples, answers: Mapping[int, Sequence[Answer]]
) -> dict[int, list[Answer]]:
    """Add final answers, and whether they are right, to the responses of closed tasks.

    If a YAML of lm-eval scores exact match, its first filter extracts the final answer. If its
    metadata has `closed_answers: true`, the whole response is the answer, and is right if it equals
    a reference. Free-form tasks have neither, and their responses stay as they are.

    Args:
        task: Task of the responses.
        samples: Samples by document and seed.
        answers: The same responses as metrics take them, by seed and in document order.
    """
    extracted = final_answers(task, list(answers), samples) if has_own_metrics(task) else {}
    if extracted:
        return {
            seed: [
                replace(response, final=final, right=right)
                for response, (final, right) in zip(responses, extracted[seed], strict=True)
            ]
            for seed, responses in answers.items()
        }
    if task.closed_answers:
        return {seed: [_closed(r) for r in responses] for seed, responses in answers.items()}
    return {seed: list(responses) for seed, responses in answers.items()}


def has_own_metrics(task: Task) -> bool:
    """Whether a YAML defines metrics of its own; lm-eval's compare with references."""
    if task.bundled or task.lm_eval is None:
        return False
    return task.has_references or task.lm_eval.config.process_results is not None


def _answer(sample: Sample, references: tuple[str, ...], thinks: bool) -> Answer:
    return Answer(
        postprocess(sample.answer),
        references,
        sample.n_tokens,
        sample.finish,
        sample.tokens or None,
        n_thinking_tokens=sample.n_thinking_tokens,
        unclosed=sample.unclosed if thinks else None,
    )


def _closed(response: Answer) -> Answer:
    right = bool(response.text and ExactMatch().score(response))
    return replace(response, final=response.text or None, right=right)


def closed_answers(task: Task, answers: Sequence[Answer]) -> list[Answer]:
    """The responses with their final answers, if the task has closed answers without a filter."""
    return [_closed(answer) for answer in answers] if task.closed_answers else list(answers)
