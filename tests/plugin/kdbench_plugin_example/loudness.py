"""How loud responses are: their share of capital letters."""

from kdbench.metrics import Answer, SampleMetric


class Loudness(SampleMetric):
    """Share of letters that are capitals."""

    name = "loudness"
    unit = "rate"
    direction = "lower"

    def score(self, answer: Answer) -> float | None:
        """The share of a response, 0 to 1; None if it has no letters."""
        letters = [char for char in answer.text if char.isalpha()]
        return sum(map(str.isupper, letters)) / len(letters) if letters else None
