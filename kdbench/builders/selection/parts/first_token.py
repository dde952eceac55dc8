"""What models say about the first token of a response, or about label words, as sparse vectors."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from kdbench.builders.selection import SelectionRule
from kdbench.builders.selection.parts.k_centre import SparseVectors
from kdbench.config.kinds import Names
from kdbench.errors import InputError

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from kdbench.builders.workshop.scoring import Distributions, Measure
    from kdbench.builders.workshop.workshop import Workshop
    from kdbench.distillation.rows import TrainingRow

_DIGITS = 8  # of a probability that is kept


class FirstToken(SelectionRule):
    """A rule that looks at the distribution over the first token of the response to a prompt.

    It is (1-a) q + a p of student and teacher, or one model's if only one is named. With `labels=`
    it is a distribution over these words, each as a whole response with its end.
    """

    cost: ClassVar[str] = "a pass of the models over each row; with labels=, one for each label"
    models: ClassVar[tuple[str, ...]] = ("student", "teacher")

    student: str | None = Field(None, description="Checkpoint of the student as it is now, q")
    teacher: str | None = Field(None, description="Checkpoint of the teacher, p")
    teacher_share: float = Field(
        0.5, gt=0, lt=1, description="With both models: a, the share of the teacher"
    )
    labels: Names = Field(
        (), description="Words that answer every prompt, such as yes,no; by default the first token"
    )

    @model_validator(mode="after")
    def _some_model(self) -> "FirstToken":
        if self.student is None and self.teacher is None:
            raise ValueError("pass student=, teacher= or both")
        if None in (self.student, self.teacher) and "teacher_share" in self.model_fields_set:
            raise ValueError("teacher_share= has an effect with both student= and teacher= only")
        if len(set(self.labels)) != len(self.labels) or len(self.labels) == 1:
            raise ValueError("labels= must be two or more different words")
        return self

    def vectors(
        self, work: "Workshop", rows: "Sequence[TrainingRow]", most: int
    ) -> "Mapping[str, SparseVectors]":
        """The probabilities of tokens or labels, by id of the row.

        Args:
            work: The workshop.
            rows: The rows.
            most: Number of tokens with the largest probabilities; has no effect with `labels=`.

        Raises:
            InputError: A row is a plain text.
        """
        if self.labels:
            return self._over_labels(work, rows)

        def measure(found: "Distributions") -> Mapping[str, Any]:
            probs = self._first(found)
            largest = probs.topk(min(most, len(probs)))
            values = [round(value, _DIGITS) for value in largest.values.tolist()]
            return {"places": largest.indices.tolist(), "probs": values}

        found = self._scored(work, rows, measure, f"first {most} tokens")
        return {name: _vector(of["places"], of["probs"]) for name, of in found.items()}

    def entropies(self, work: "Workshop", rows: "Sequence[TrainingRow]") -> Mapping[str, float]:
        """The entropy in nats over all tokens or the labels, by id of the row.

        Raises:
            InputError: A row is a plain text.
        """
        if self.labels:
            found = self._over_labels(work, rows)
            return {name: _entropy(vector.values) for name, vector in found.items()}

        def measure(found: "Distributions") -> Mapping[str, Any]:
            return {"entropy": _entropy(self._first(found).cpu().numpy())}

        numbers = self._scored(work, rows, measure, "first token entropy")
        return {name: of["entropy"] for name, of in numbers.items()}

    def _scored(
        self, work: "Workshop", rows: "Sequence[TrainingRow]", measure: "Measure", step: str
    ) -> Mapping[str, Mapping[str, Any]]:
        from kdbench.builders.workshop.scoring import TextToScore

        self._check(rows)
        return work.score(self._used, [TextToScore(row.id, row) for row in rows], measure, step)

    def _check(self, rows: "Sequence[TrainingRow]") -> None:
        for row in rows:
            if row.is_text:
                raise InputError(
                    f"by={self.by}: row '{row.id}' is a plain text, which asks nothing"
                )

    def _first(self, found: "Distributions") -> "torch.Tensor":
        """The distribution over the first token, float64 of (V,)."""
        return self._mixed([found.log_probs[key][0].double().exp() for key in self._used])

    @property
    def _used(self) -> list[str]:
        return [key for key in self.models if getattr(self, key) is not None]

    def _mixed(self, of_models: "Sequence[Any]") -> Any:
        """(1-a) q + a p, or the one there is."""
        if len(of_models) == 1:
            return of_models[0]
        student, teacher = of_models
        return (1 - self.teacher_share) * student + self.teacher_share * teacher

    def _over_labels(
        self, work: "Workshop", rows: "Sequence[TrainingRow]"
    ) -> "Mapping[str, SparseVectors]":
        from kdbench.builders.workshop.scoring import TextToScore

        self._check(rows)
        texts = {
            (row.id, place): TextToScore(f"{row.id}={place}", row, label)
            for row in rows
            for place, label in enumerate(self.labels)
        }
        found = work.score(self._used, list(texts.values()), _whole, "labels")
        places, vectors = range(len(self.labels)), {}
        for row in rows:
            of_row = [found[name] for place in places if (name := texts[row.id, place].id) in found]
            if len(of_row) == len(places):
                of_models = [_softmax([of[key] for of in of_row]) for key in self._used]
                vectors[row.id] = _vector(places, self._mixed(of_models))
        return vectors


def _whole(found: "Distributions") -> Mapping[str, float]:
    """Each model's log-probability of a whole response."""
    return {key: float(found.log_p(key).double().sum()) for key in found.log_probs}


def _softmax(values: Sequence[float]) -> "NDArray[np.float64]":
    powers = np.exp(np.array(values) - max(values))
    shares: NDArray[np.float64] = powers / powers.sum()
    return shares


def _entropy(probs: "NDArray[np.float64]") -> float:
    some = probs[probs > 0]
    return float(-(some * np.log(some)).sum())


def _vector(
    places: Sequence[int], values: "Sequence[float] | NDArray[np.float64]"
) -> SparseVectors:
    return SparseVectors(np.array(places, dtype=np.int32), np.array(values, dtype=np.float64))
