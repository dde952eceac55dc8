"""How long a model thinks, and how often its thinking never ends.

Metric: mean number of tokens before the mark that ends the thinking; share of responses whose
        thinking never ends, so that there is no answer.
"""

from kdbench.metrics import Answer, SampleMetric, metrics

_NONE = "the model has no thinking, or it is not known for these samples"


@metrics.register("thinking_tokens")
class ThinkingTokens(SampleMetric):
    """Number of generated tokens in the thinking."""

    name = "thinking_tokens"
    unit = "tokens"
    direction = "none"
    of_thinking = True
    undefined = _NONE

    def score(self, answer: Answer) -> float | None:
        """Return the number of tokens, 0 for a response without thinking; None if not known."""
        return None if answer.n_thinking_tokens is None else float(answer.n_thinking_tokens)


@metrics.register("unclosed_thinking")
class UnclosedThinking(SampleMetric):
    """Share of responses whose thinking never ends; their answer is empty."""

    name = "unclosed_thinking"
    unit = "rate"
    direction = "lower"
    of_thinking = True
    undefined = _NONE

    def score(self, answer: Answer) -> float | None:
        """Return 0 or 1; None if the model has no thinking."""
        return None if answer.unclosed is None else float(answer.unclosed)
