"""What becomes of the thinking in stored samples."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Literal

from kdbench.generate import Sample
from kdbench.generate.thinking import Marks, ThinkingSplit, marks_in, split_thinking
from kdbench.metrics import Metric, thinking_metrics
from kdbench.store.sample_index import StoredSamples
from kdbench.store.samples import Samples
from kdbench.system.console import note_once

_NOTED = 0.05  # share of unclosed responses


def with_thinking(metrics: Sequence[Metric], samples: Samples) -> list[Metric]:
    """Return the metrics, and those of the thinking if the samples have one."""
    if not knows_thinking(samples):
        return list(metrics)
    names = {metric.name for metric in metrics}
    return [*metrics, *(metric for metric in thinking_metrics() if metric.name not in names)]


def knows_thinking(samples: Samples) -> bool:
    """Whether it is known of a sample what of its output is thinking."""
    if isinstance(samples, StoredSamples):
        return samples.thinks
    return any(sample.knows_thinking for sample in samples.values())


def note_unclosed(task: str, samples: Samples) -> None:
    """Note a task with many responses whose thinking never ends, once for each task."""
    if isinstance(samples, StoredSamples):
        unclosed = samples.unclosed
    else:
        unclosed = sum(sample.unclosed for sample in samples.values())
    if unclosed > _NOTED * len(samples):
        note_once(
            f"note: {task}: {unclosed} of {len(samples)} responses never end their thinking, so "
            "they have no answer; a larger max_new_tokens= leaves more room"
        )


def split_samples(
    samples: Samples, thinking: Literal["strip", "keep"], marks: tuple[str, str] | None
) -> Samples:
    """Return samples whose answer begins behind the thinking, or at the start of the output.

    Args:
        samples: Samples that kdbench generated, or texts from elsewhere.
        thinking: What becomes of the thinking: `strip` or `keep`.
        marks: Marks around the thinking; None for what a sample says of itself, and for the marks
            of known families where it says nothing.
    """
    split = sample_splitter(thinking, marks)
    return {key: split(sample) for key, sample in samples.items()}


def sample_splitter(
    thinking: Literal["strip", "keep"], marks: tuple[str, str] | None
) -> Callable[[Sample], Sample]:
    """Return what `split_samples` does with each sample."""
    given = None if marks is None else Marks(*marks)
    return partial(_split, given=given, kept=thinking == "keep")


def _split(sample: Sample, given: Marks | None, kept: bool) -> Sample:
    start = len(sample.output) if sample.unclosed else sample.answer_start
    is_known = start is not None or sample.n_thinking_tokens == 0
    if given is not None or not is_known:
        marks = given or marks_in(sample.output)
        split = ThinkingSplit() if marks is None else split_thinking(sample.output, marks)
        n_tokens = None if given else sample.n_thinking_tokens
        start = split.answer
        sample = replace(sample, n_thinking_tokens=n_tokens, unclosed=split.unclosed)
    return replace(sample, answer_start=None if kept else start)
