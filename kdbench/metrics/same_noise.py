"""Agreement of responses that student and teacher draw with the same noise.

Metric: share of responses whose text equals the teacher's; number of tokens before the first
        difference. Responses of one seed are drawn with the same Gumbel noise, so equal
        distributions give equal text, and differences come from the models rather than from the
        draw. Under greedy decoding these are the usual exact match and first divergence.
"""

from kdbench.metrics import Answer, PairMetric, metrics


@metrics.register("same_text")
class SameText(PairMetric):
    """Share of responses that equal the teacher's at the same seed."""

    by_default = False
    name = "same_text"
    unit = "rate"
    direction = "higher"
    perfect = 1.0
    same_noise = True

    def score(self, student: Answer, teacher: Answer) -> float:
        """Return 0 or 1."""
        return float(student.text == teacher.text)


@metrics.register("first_divergence")
class FirstDivergence(PairMetric):
    """Number of tokens before the first difference from the teacher at the same seed."""

    by_default = False
    name = "first_divergence"
    survival = True
    unit = "tokens"
    direction = "higher"
    same_noise = True

    def score(self, student: Answer, teacher: Answer) -> float | None:
        """Return the index of the first difference; None if the tokens are not known.

        Without a difference, this is the length of the shorter response.
        """
        if student.tokens is None or teacher.tokens is None:
            return None
        pairs = list(zip(student.tokens, teacher.tokens, strict=False))
        return float(next((index for index, (a, b) in enumerate(pairs) if a != b), len(pairs)))
