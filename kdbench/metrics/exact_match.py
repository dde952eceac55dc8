"""Exact match after normalisation.

Metric: 100 if the response equals a reference once both are lower-cased, stripped of punctuation
        and single-spaced (articles stay); maximum over references; points.
Source: MiniLLM's `rouge_metric.py`.
"""

import string

from kdbench.metrics import Answer, SampleMetric, metrics

_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalise(text: str) -> str:
    """Lower-case a text, remove ASCII punctuation and collapse white space."""
    return " ".join(text.lower().translate(_PUNCTUATION).split())


@metrics.register("exact_match")
class ExactMatch(SampleMetric):
    """Share of responses that equal a reference after normalisation."""

    name = "exact_match"
    unit = "points"
    direction = "higher"
    needs_reference = True

    def score(self, answer: Answer) -> float:
        """Return 0 or 100."""
        response = normalise(answer.text)
        return 100.0 * any(response == normalise(text) for text in answer.references)
