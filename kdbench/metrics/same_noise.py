"""Whether student and teacher write the same where chance is the same.

Metric: share of responses whose text equals the teacher's; tokens until the two first differ.
        Responses of one seed are drawn with the same Gumbel noise, so equal distributions give
        equal text and what differs is the models, not the draw. With greedy decoding this is the
        usual first divergence.
"""

from kdbench.metrics import Answer, PairMetric, metrics


@metrics.register("same_text")
class SameText(PairMetric):
    """Share of responses that equal the teacher's under the same noise."""

    name = "same_text"
    unit = "rate"
    direction = "higher"
    perfect = 1.0
    same_noise = True

    def score(self, student: Answer, teacher: Answer) -> float:
        """0 or 1."""
        return float(student.text == teacher.text)


@metrics.register("first_divergence")
class FirstDivergence(PairMetric):
    """Tokens until student and teacher differ under the same noise."""

    name = "first_divergence"
    survival = True
    unit = "tokens"
    direction = "higher"
    same_noise = True

    def score(self, student: Answer, teacher: Answer) -> float | None:
        """The first differing token's index, their number if none; None if tokens are unknown."""
        if student.tokens is None or teacher.tokens is None:
            return None
        pairs = list(zip(student.tokens, teacher.tokens, strict=False))
        return float(next((index for index, (s, t) in enumerate(pairs) if s != t), len(pairs)))
