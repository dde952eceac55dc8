"""How loud responses are."""

from kdbench.metrics import Answer, SampleMetric


class Loudness(SampleMetric):
    """Share of capital letters."""

    name = "loudness"
    unit = "rate"
    direction = "lower"

    def score(self, answer: Answer) -> float | None:
        """0 to 1, None where there is no letter."""
        letters = [char for char in answer.text if char.isalpha()]
        return sum(map(str.isupper, letters)) / len(letters) if letters else None
