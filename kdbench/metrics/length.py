"""How long responses are, how many ran into the limit, how many say nothing.

Metric: mean tokens a response (EOS not counted); share that ended by the limit; share that is
        empty after post-processing.
"""

from kdbench.metrics import Answer, SampleMetric, metrics


@metrics.register("response_length")
class ResponseLength(SampleMetric):
    """Generated tokens."""

    name = "response_length"
    unit = "tokens"
    direction = "none"

    def score(self, answer: Answer) -> float | None:
        """None where the number of tokens is not known."""
        return None if answer.n_tokens is None else float(answer.n_tokens)


@metrics.register("cut_off")
class CutOff(SampleMetric):
    """Share of responses that ended at the limit."""

    name = "cut_off"
    unit = "rate"
    direction = "lower"

    def score(self, answer: Answer) -> float | None:
        """0 or 1, None where it is not known how the response ended."""
        return None if answer.finish is None else float(answer.finish == "length")


@metrics.register("empty")
class Empty(SampleMetric):
    """Share of responses without text."""

    name = "empty"
    unit = "rate"
    direction = "lower"

    def score(self, answer: Answer) -> float:
        """0 or 1."""
        return float(not answer.text)
