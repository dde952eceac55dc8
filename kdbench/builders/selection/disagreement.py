"""HARD: rows, or edits of their prompts, on which the student is farthest from a sure teacher.

Paper: HARD (arXiv 2305.14890); the abstract was read. It learns augmentations that make teacher and
    student disagree; here rows are selected, and with `edits=` rules edit their prompts first.
Score: mean KL(p‖q) over the tokens of the teacher's greedy response.
Condition: nonsense on which the teacher is wrong has the largest divergences, so only the share
    `confident` of the rows qualifies of which the teacher's mean log-probability of its response is
    the highest; by default those at or above the median.
Edits: with `edits=K` a share `edited_share` of the rows is edited in K ways (a word left out,
    replaced or moved, an opening put before), and the teacher answers each edit. Of those at or
    above the median of its confidence, that with the largest KL stands for the row, or one that is
    drawn by softmax(KL / `choice_temperature`). It is written with the teacher's answer, as that of
    the row need not answer it any more; rows that are not edited stay as they are.
Ours: the shares, greedy responses and the rules of the edits, which are those of the method `hard`.
"""

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field, model_validator

from kdbench.builders import BuiltRow
from kdbench.builders.selection import selection_rules
from kdbench.builders.selection.parts.scored import (
    TeacherAndStudent,
    chosen,
    divergence_and_confidence,
    greedy,
)
from kdbench.errors import InputError

if TYPE_CHECKING:
    from kdbench.builders.selection.parts.pool import Chosen, Pool
    from kdbench.builders.workshop.questions import ModelResponse
    from kdbench.builders.workshop.scoring import Distributions
    from kdbench.builders.workshop.workshop import Workshop
    from kdbench.distillation.rows import TrainingRow
    from kdbench.training.edits import Uniform

_Candidate = dict[str, Any]  # a line: what is written for a row, and its numbers


@selection_rules.register("disagreement")
class Disagreement(TeacherAndStudent):
    """The rows, or edits of them, on which the student is farthest from a sure teacher."""

    title: ClassVar[str] = "HARD (adapted): disagreement"
    paper: ClassVar[str] = "arXiv 2305.14890"
    basis: ClassVar[str] = "abstract"
    adapted: ClassVar[str] = (
        "learned augmentations of images to a choice of rows and edits by rules"
    )
    cost: ClassVar[str] = (
        "teacher generation, greedy, and a pass of both models over each response; with edits=, "
        "over those to each edit"
    )

    share: float = Field(0.25, gt=0, le=1, description="Share of the rows that is kept")
    confident: float = Field(
        0.5, gt=0, le=1, description="Share of the rows that qualifies, the teacher's surest"
    )
    edits: int = Field(0, ge=0, description="K, number of edits of a prompt; 0 keeps the prompts")
    edited_share: float = Field(
        0.5, gt=0, le=1, description="With edits=: share of the rows whose prompt is edited"
    )
    choice_temperature: float = Field(
        0.0,
        ge=0,
        description="With edits=: temperature of the choice by KL; 0 takes the largest",
    )

    @model_validator(mode="after")
    def _consistent(self) -> "Disagreement":
        given = self.model_fields_set & {"edited_share", "choice_temperature"}
        if given and not self.edits:
            raise ValueError(f"{min(given)}= has an effect with edits= only")
        if self.edits and self.scored == "dataset":
            raise ValueError("edits= needs the teacher's responses; drop scored=dataset")
        if self.rows is None and self.share >= self.confident < 1:
            raise ValueError(
                f"share={self.share:g} leaves nothing to choose of the share "
                f"confident={self.confident:g} that qualifies; pass a smaller share= or a larger "
                "confident="
            )
        return self

    def measure(self, found: "Distributions") -> float:
        """The mean divergence."""
        return divergence_and_confidence(found)["kl"]

    def qualified(self, pool: "Pool", confidences: Mapping[str, float]) -> Collection[str]:
        """The rows of each group of which the teacher is the surest."""
        by_group: dict[str, list[str]] = {}
        for name in confidences:
            by_group.setdefault(pool.groups[name], []).append(name)
        kept = set[str]()
        for names in by_group.values():
            kept |= surest_of({name: confidences[name] for name in names}, self.confident)
        return kept

    def choose(self, work: "Workshop", pool: "Pool") -> "Chosen":
        """The rows that qualify with the largest divergences, or their edits."""
        if self.rows is not None and self.rows >= self.confident * len(pool) and self.confident < 1:
            raise InputError(
                f"rows={self.rows} leaves nothing to choose of the share "
                f"confident={self.confident:g} of {len(pool)} rows that qualifies"
            )
        if not self.edits:
            return super().choose(work, pool)
        from kdbench.builders.selection.parts.edited import question_texts
        from kdbench.training.edits import words_of

        words = words_of(
            text for rows in pool.chunks() for row in rows for text in question_texts(row)
        )
        lines = work.kept_lines("candidates")
        lines.replace(self._candidates(work, pool, words))
        numbers = {
            line["of"]: (line["kl"], line["kl"], line["log_p"])
            for line in lines.stream()
            if "kl" in line
        }
        sure = self.qualified(pool, {name: of[2] for name, of in numbers.items()})
        choice = chosen(pool, numbers, sure)
        return replace(choice, figures={**choice.figures, **_of_edits(lines.stream(), choice.ids)})

    def _candidates(
        self, work: "Workshop", pool: "Pool", words: Sequence[str]
    ) -> Iterator[_Candidate]:
        """Yield what stands for each row of the pool: the row, or the edit that was chosen."""
        from kdbench.builders.selection.parts.edited import edits_of
        from kdbench.builders.workshop.scoring import TextToScore

        for rows in pool.chunks():
            edits: dict[str, list[TrainingRow]] = {}
            for row in rows:
                uniform = _uniform(work, row)
                if uniform("is edited") < self.edited_share:
                    edits[row.id] = edits_of(row, self.edits, words, uniform)
            asked = [edit for of_row in edits.values() for edit in of_row]
            answers = greedy(work, asked)
            texts = [TextToScore(e.id, e, answers[e.id].text, answers[e.id].ended) for e in asked]
            texts += self.texts(work, [row for row in rows if not edits.get(row.id)])
            numbers = work.score(
                ("teacher", "student"), texts, divergence_and_confidence, "disagreement of edits"
            )
            for row in rows:
                yield self._candidate(work, row, edits.get(row.id) or [], answers, numbers)

    def _candidate(
        self,
        work: "Workshop",
        row: "TrainingRow",
        edits: "Sequence[TrainingRow]",
        answers: "Mapping[str, ModelResponse]",
        numbers: Mapping[str, Mapping[str, Any]],
    ) -> _Candidate:
        from kdbench.builders.workshop.questions import answered
        from kdbench.training.sources.hardest import hardest

        if not edits:
            return {"of": row.id, **_both(numbers.get(row.id))}
        known = [edit for edit in edits if edit.id in numbers]
        if not known:  # the teacher has no answer to any
            return {"of": row.id}
        kls = [numbers[edit.id]["kl"] for edit in known]
        sure = [numbers[edit.id]["log_p"] for edit in known]
        uniform = _uniform(work, row)("choice")
        edit = known[hardest(kls, sure, self.choice_temperature, uniform)]
        return {
            "of": row.id,
            **_both(numbers[edit.id]),
            "of_all": math.fsum(kls) / len(kls),
            "row": answered(edit, answers[edit.id].text),
        }

    def written(
        self, work: "Workshop", rows: "Iterator[TrainingRow]"
    ) -> "Iterator[tuple[TrainingRow, BuiltRow]]":
        """Yield each row with itself, or the edit that stands for it."""
        if not self.edits:
            yield from super().written(work, rows)
            return
        lines = work.kept_lines("candidates").stream()
        line = next(lines, None)
        for row, as_it_is in super().written(work, rows):
            if line is None or line["of"] != row.id:  # a row that cannot be chosen
                yield row, as_it_is
                continue
            yield row, line.get("row", as_it_is)
            line = next(lines, None)


def surest_of(confidences: Mapping[str, float], share: float) -> set[str]:
    """The names of the share with the highest confidence; with ½, those at or above the median."""
    least = sorted(confidences.values())[math.floor((1 - share) * len(confidences))]
    return {name for name, value in confidences.items() if value >= least}


def _uniform(work: "Workshop", row: "TrainingRow") -> "Uniform":
    return lambda name: work.random("edit", row.id, name).random()


def _both(numbers: Mapping[str, Any] | None) -> dict[str, float]:
    return {} if numbers is None else {key: numbers[key] for key in ("kl", "log_p")}


def _of_edits(lines: Iterator[_Candidate], kept: Collection[str]) -> dict[str, float | int]:
    """How many edits were kept, and how far their KL is above that of all edits of their rows."""
    edits = [line for line in lines if line["of"] in kept and "row" in line]
    figures: dict[str, float | int] = {"edited rows kept": len(edits)}
    if edits:
        figures["mean KL(p‖q), edits kept"] = math.fsum(e["kl"] for e in edits) / len(edits)
        figures["mean KL(p‖q), all edits of these rows"] = math.fsum(
            e["of_all"] for e in edits
        ) / len(edits)
    return figures
