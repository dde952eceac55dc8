"""Rules that score responses with a teacher and a student."""

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from kdbench.builders.selection import SelectionRule
from kdbench.config import given_keys
from kdbench.errors import InputError

if TYPE_CHECKING:
    from kdbench.builders.selection.parts.pool import Chosen, Pool
    from kdbench.builders.workshop.questions import ModelResponse
    from kdbench.builders.workshop.scoring import Distributions, TextToScore
    from kdbench.builders.workshop.workshop import Workshop
    from kdbench.config.build_keys import BuildSettings
    from kdbench.distillation.rows import TrainingRow


class TeacherAndStudent(SelectionRule):
    """A rule that looks at both models' distributions over the tokens of a response.

    The card has the mean KL(p‖q) of the rows that are kept, and of the others.
    """

    cost: ClassVar[str] = "teacher generation, greedy, and a pass of both models over each response"
    models: ClassVar[tuple[str, ...]] = ("teacher", "student")
    samples: ClassVar[bool] = True

    teacher: str = Field(description="Checkpoint of the teacher, p")
    student: str = Field(description="Checkpoint of the student as it is before the training, q")
    scored: Literal["teacher", "dataset"] = Field(
        "teacher",
        description="Responses that are scored: the teacher's, decoded greedily, or those of the "
        "rows, which saves the generation; a plain text is scored itself",
    )

    def check(self, settings: "BuildSettings") -> None:
        """Refuse keys of sampling that do not affect greedy responses, or those of the rows."""
        why, ignored = "the teacher decodes greedily", {"temperature", "top_p", "top_k"}
        if self.scored == "dataset":
            why = "scored=dataset samples nothing"
            ignored |= {"max_new_tokens", "no_repeat_ngram_size", "backend", "backend_options"}
        if given := [key for key in given_keys(settings) if key in ignored]:
            raise InputError(f"{given[0]}= has no effect: {why}")

    def measure(self, found: "Distributions") -> float:
        """The score of a response, with the models `teacher` and `student`."""
        raise NotImplementedError

    @property
    def step(self) -> str:
        """What is measured, for the progress display; keys that change the score are part of it."""
        return self.by

    def choose(self, work: "Workshop", pool: "Pool") -> "Chosen":
        """The rows with the best scores, of those that qualify."""
        work.check_tokens(self.models)
        numbers: dict[str, Sequence[float]] = {}
        for rows in pool.chunks():
            numbers |= self._numbers(work, rows)
        sure = self.qualified(pool, {name: of[2] for name, of in numbers.items()})
        return chosen(pool, numbers, sure)

    def qualified(self, pool: "Pool", confidences: Mapping[str, float]) -> Collection[str]:  # noqa: ARG002
        """The rows that can be chosen; by default all.

        Args:
            pool: The rows.
            confidences: The teacher's mean log-probability of the response to each row.
        """
        return confidences

    def _numbers(
        self, work: "Workshop", rows: "Sequence[TrainingRow]"
    ) -> dict[str, Sequence[float]]:
        """Score, KL(p‖q) and the teacher's mean log-probability of the response to each row."""
        scores = work.score(("teacher", "student"), self.texts(work, rows), self._all, self.step)
        return {name: (of["score"], of["kl"], of["log_p"]) for name, of in scores.items()}

    def _all(self, found: "Distributions") -> Mapping[str, float]:
        return {"score": self.measure(found), **divergence_and_confidence(found)}

    def texts(self, work: "Workshop", rows: "Sequence[TrainingRow]") -> "list[TextToScore]":
        """The responses to rows that are scored."""
        from kdbench.builders.workshop.scoring import TextToScore

        asked = [row for row in rows if not row.is_text] if self.scored == "teacher" else []
        found = greedy(work, asked)
        return [
            TextToScore(row.id, row, found[row.id].text, found[row.id].ended)
            if row.id in found
            else TextToScore(row.id, row)
            for row in rows
        ]


def divergence_and_confidence(found: "Distributions") -> dict[str, float]:
    """The mean KL(p‖q) over the tokens of a response, and the teacher's mean log-probability."""
    from kdbench.divergence import forward_kl

    kl = forward_kl(found.log_probs["teacher"], found.log_probs["student"])
    return {"kl": float(kl.mean()), "log_p": float(found.log_p("teacher").mean())}


def chosen(pool: "Pool", numbers: Mapping[str, Sequence[float]], of: Collection[str]) -> "Chosen":
    """The rows with the best scores, and figures of what they are like.

    Args:
        pool: The rows to choose from.
        numbers: Score, KL(p‖q) and the teacher's mean log-probability by id.
        of: Those that qualify.
    """
    from kdbench.builders.selection.parts.pool import Chosen, best, mean_of

    choice = best(pool, {name: scores[0] for name, scores in numbers.items() if name in of})
    scores = {name: scores[0] for name, scores in numbers.items()}
    figures = {
        **mean_of("score", scores, choice.ids),
        **mean_of("KL(p‖q)", {name: of[1] for name, of in numbers.items()}, choice.ids),
        **mean_of("log p", {name: of[2] for name, of in numbers.items()}, choice.ids),
    }
    return Chosen(choice.ids, scores, "no response", figures)


def greedy(work: "Workshop", rows: "Sequence[TrainingRow]") -> "dict[str, ModelResponse]":
    """The teacher's greedy responses by id of the row."""
    from kdbench.builders.workshop.questions import question_of

    questions = [question_of(row) for row in rows]
    found = work.sample("teacher", questions, step="greedy responses", temperature=0)
    return {name: responses[0] for name, responses in found.items()}
