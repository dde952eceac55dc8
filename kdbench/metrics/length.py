"""Length of the responses, and the shares that were cut off, are empty or ended by themselves.

Metric: mean number of tokens per response (EOS not counted); share of responses that ended at the
        token limit; share that is empty after post-processing; share in which the model chose an
        end-of-sequence token. A response that a stop string of the task ended is neither cut off
        nor ended by the model, so `cut_off` and `eos_rate` need not add to 1.
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


@metrics.register("eos_rate")
class EosRate(SampleMetric):
    """Share of responses that the model ended itself, with an end-of-sequence token."""

    by_default = False
    name = "eos_rate"
    unit = "rate"
    direction = "higher"

    def score(self, answer: Answer) -> float | None:
        """Return 0 or 1; None if it is not known how the response ended."""
        if answer.finish == "length":
            return 0.0
        if answer.finish is None or answer.tokens is None or answer.n_tokens is None:
            return None
        return float(len(answer.tokens) > answer.n_tokens)  # only `tokens` counts the end token
