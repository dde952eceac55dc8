"""SeqKD as a data set: a teacher answers the prompts, and students learn its texts.

Paper: Kim and Rush 2016, Sequence-Level Knowledge Distillation (arXiv 1606.07947), whose teacher
    answers by beam search; here it samples, or decodes greedily with `temperature=0`.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from kdbench.builders import Builder, BuiltRow, builders

if TYPE_CHECKING:
    from kdbench.builders.workshop.workshop import Workshop


@builders.register("teacher_responses")
class TeacherResponses(Builder):
    """A teacher's responses to the prompts of a set."""

    title: ClassVar[str] = "Teacher responses (SeqKD)"
    paper: ClassVar[str] = "Kim and Rush 2016, arXiv 1606.07947"
    family: ClassVar[str] = "generate"
    basis: ClassVar[str] = "paper"
    cost: ClassVar[str] = "teacher generation, `responses` for each prompt"
    models: ClassVar[tuple[str, ...]] = ("teacher",)
    samples: ClassVar[bool] = True

    teacher: str = Field(description="Checkpoint that answers, or its name on a server")
    responses: int = Field(1, ge=1, description="Number of responses to each prompt")

    def build(self, work: "Workshop") -> Iterator[BuiltRow]:
        """Yield each prompt with each of its responses; empty ones are left out."""
        from kdbench.builders.workshop.questions import answered, question_of

        for rows in work.chunks():
            questions = [question_of(row) for row in rows]
            found = work.sample("teacher", questions, self.responses)
            for row in rows:
                for place, response in enumerate(found[row.id]):
                    if not response.text.strip():
                        work.remove(row, "empty response")
                        continue
                    work.count("cut responses", int(not response.ended))
                    name = row.id if self.responses == 1 else f"{row.id}#{place + 1}"
                    yield answered(row, response.text, name=name)

    def plan(self, rows: int) -> Iterator[tuple[str, str]]:
        """Yield the number of responses."""
        yield "asks of teacher", f"{rows * self.responses} responses"
