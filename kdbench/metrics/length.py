"""Length of the responses, and the shares that were cut off or are empty.

Metric: mean number of tokens per response (EOS not counted); share of responses that ended at the
        token limit; share that is empty after post-processing.
"""

from kdbench.metrics import Answer, SampleMetric, metrics


@metrics.register("response_length")
class ResponseLength(SampleMetric):
    """Number of generated tokens, without the end token."""

    name = "response_length"
    unit = "tokens"
    direction = "none"

    def score(self, answer: Answer) -> float | None:
        """Return the number of tokens; None if it is not known."""
        return None if answer.n_tokens is None else float(answer.n_tokens)


@metrics.register("cut_off")
class CutOff(SampleMetric):
    """Share of responses that ended at the token limit."""

    name = "cut_off"
    unit = "rate"
    direction = "lower"

    def score(self, answer: Answer) -> float | None:
        """Return 0 or 1; None if it is not known how the response ended."""
        return None if answer.finish is None else float(answer.finish == "length")


@metrics.register("empty")
class Empty(SampleMetric):
    """Share of responses that are empty after post-processing."""

    name = "empty"
    unit = "rate"
    direction = "lower"

    def score(self, answer: Answer) -> float:
        """Return 0 or 1."""
        return float(not answer.text)
