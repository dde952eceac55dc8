"""What becomes of the thinking in stored samples."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from kdbench.generate import Sample
from kdbench.generate.thinking import Marks, ThinkingSplit, marks_in, split_thinking
from kdbench.metrics import Metric, thinking_metrics
from kdbench.store.samples import Samples
from kdbench.system.console import note_once

_NOTED = 0.05  # share of unclosed responses


def with_thinking(metrics: Sequence[Metric], samples: Samples) -> list[Metric]:
    """Return the metrics, and those of the thinking if the samples have one."""
    if not any(sample.knows_thinking for sample in samples.values()):
        return list(metrics)
    names = {metric.name for metric in metrics}
    return [*metrics, *(metric for metric in thinking_metrics() if metric.name not in names)]


def note_unclosed(task: str, samples: Samples) -> None:
    """Note a task with many responses whose thinking never ends, once for each task."""
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
    given = None if marks is None else Marks(*marks)
    return {key: _split(sample, given, thinking == "keep") for key, sample in samples.items()}


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
