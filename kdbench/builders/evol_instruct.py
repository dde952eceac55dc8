"""Evol-Instruct: a model rewrites prompts into harder or other ones, and answers them.

Paper: Xu et al. 2023, WizardLM: Empowering Large Language Models to Follow Complex Instructions
    (arXiv 2304.12244). In each round every prompt is evolved by a drawn operator, five that go
    deeper and one that goes wider; what fails a filter stays as it was for the next round.
Ours: the words of the prompts (`evolution/prompts/`), and of the filters what `evolution.failures`
    says; the operators are drawn with equal chances; whether a prompt gains anything is decided by
    its new words, and asked of the model only with `ask_gain=true`; a prompt that goes deeper must
    keep words of its parent. `writer=rules` is no part of the paper.
Certainty: operators and filters from the paper's text as others quote it; no code was read.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, field_validator

from kdbench.builders import Builder, BuiltRow, builders
from kdbench.builders.evolution.operators import OPERATORS
from kdbench.config.kinds import Names

if TYPE_CHECKING:
    from kdbench.builders.evolution.forms import AskedPrompt
    from kdbench.builders.workshop.workshop import Workshop
    from kdbench.distillation.rows import TrainingRow

_KEY = "teacher"


@dataclass(frozen=True)
class _Draft:
    """A prompt on its way: the row that it comes from, and the prompts before it."""

    row: "TrainingRow"
    name: str
    parent: str
    operator: str
    lineage: "tuple[AskedPrompt, ...]"  # the nearest first
    prompt: "AskedPrompt | None" = None
    ended: bool = True


@dataclass(frozen=True)
class _Living:
    """What is evolved next."""

    row: "TrainingRow"
    name: str
    lineage: "tuple[AskedPrompt, ...]"


@builders.register("evol_instruct")
class EvolInstruct(Builder):
    """Harder and other prompts that a model makes of the rows' prompts, with its answers."""

    title: ClassVar[str] = "Evolved instructions (Evol-Instruct)"
    paper: ClassVar[str] = "Xu et al. 2023, arXiv 2304.12244"
    family: ClassVar[str] = "prompts"
    basis: ClassVar[str] = "the paper's text as others quote it"
    adapted: ClassVar[str] = "own words of the prompts; the gain is decided by new words"
    cost: ClassVar[str] = "teacher generation, two responses for each prompt and round"
    models: ClassVar[tuple[str, ...]] = ("teacher",)
    samples: ClassVar[bool] = True

    teacher: str = Field(
        description="Checkpoint that writes the prompts and answers them, or its name on a server; "
        "a chat model, with protocol=chat"
    )
    rounds: int = Field(1, ge=1, le=20, description="How often each prompt is evolved")
    operators: Names = Field(
        OPERATORS, min_length=1, description="Operators, of which each round draws one per prompt"
    )
    writer: Literal["teacher", "rules"] = Field(
        "teacher", description="What writes the evolved prompts; rules need no chat model"
    )
    new_words: int = Field(
        3, ge=0, description="Least number of words in an evolved prompt that its parent lacks"
    )
    kept_words: float = Field(
        0.3,
        ge=0,
        le=1,
        description="Least share of the parent's words, without function words, that an evolved "
        "prompt still has; breadth is free of it",
    )
    ask_gain: bool = Field(
        False, description="Also ask the teacher whether both prompts ask the same"
    )
    originals: bool = Field(True, description="Whether the rows that are read are written, too")

    @field_validator("operators")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if name not in OPERATORS:
                raise ValueError(f"'{name}' is not one of {', '.join(OPERATORS)}")
        return tuple(name for name in OPERATORS if name in names)

    def build(self, work: "Workshop") -> Iterator[BuiltRow]:
        """Yield each row, and after it the rows that were made of it, round by round."""
        from kdbench.builders.workshop.questions import kept

        for rows in work.chunks():
            made = self._evolved(work, rows)
            for row in rows:
                if self.originals:
                    yield kept(row)
                yield from made[row.id]
        asked, survived = (work.figures.get(name, 0) for name in ("attempts", "evolved rows"))
        if asked:
            work.figure("share that survives", survived / asked)

    def plan(self, rows: int) -> Iterator[tuple[str, str]]:
        """Yield the most that is asked."""
        written = rows * self.rounds * (self.writer == "teacher")
        yield "operators", ", ".join(self.operators)
        yield "asks of teacher", f"at most {written} prompts and {rows * self.rounds} answers"

    def _evolved(
        self, work: "Workshop", rows: "Sequence[TrainingRow]"
    ) -> Mapping[str, list[BuiltRow]]:
        """The rows that are made of each, by its id."""
        from kdbench.builders.evolution.forms import evolved_row, prompt_of

        made: dict[str, list[BuiltRow]] = {row.id: [] for row in rows}
        living = []
        for row in rows:
            if (prompt := prompt_of(row)) is None:
                work.count("rows that are no single prompt")
            else:
                living.append(_Living(row, row.id, (prompt,)))
        for number in range(1, self.rounds + 1):
            drafts = self._drafts(work, living, number)
            good = self._with_gain(work, self._written(work, drafts))
            answers = self._answers(work, good)
            better = {}
            for draft in good:
                if (answer := answers.get(draft.name)) is None or draft.prompt is None:
                    continue
                lineage = {"parent": draft.parent, "operator": draft.operator, "round": number}
                made[draft.row.id].append(
                    evolved_row(draft.row, draft.prompt, answer, draft.name, **lineage)
                )
                work.count("evolved rows")
                work.count(f"evolved rows by {draft.operator}")
                new = _Living(draft.row, draft.name, (draft.prompt, *draft.lineage))
                better[draft.row.id] = new
            living = [better.get(one.row.id, one) for one in living]
        return made

    def _drafts(self, work: "Workshop", living: Sequence[_Living], number: int) -> list[_Draft]:
        drafts = []
        for one in living:
            operator = work.random("operator", number, one.row.id).choice(self.operators)
            name = f"{one.row.id}~{number}"
            drafts.append(_Draft(one.row, name, one.name, operator, one.lineage))
        return drafts

    def _written(self, work: "Workshop", drafts: Sequence[_Draft]) -> list[_Draft]:
        """The drafts with their prompts, without those of no use."""
        from dataclasses import replace

        from kdbench.builders.evolution.failures import prompt_failure

        work.count("attempts", len(drafts))
        by = self._by_rules if self.writer == "rules" else self._by_teacher
        good = []
        for draft, (prompt, ended) in zip(drafts, by(work, drafts), strict=True):
            before = [one.whole for one in draft.lineage]
            kept = 0 if draft.operator == "breadth" else self.kept_words
            failure = prompt_failure(prompt.whole, ended, before, self.new_words, kept)
            if failure is None:
                good.append(replace(draft, prompt=prompt))
            else:
                _fail(work, replace(draft, prompt=prompt), failure)
        return good

    def _by_rules(
        self, work: "Workshop", drafts: Sequence[_Draft]
    ) -> "Iterator[tuple[AskedPrompt, bool]]":
        from kdbench.builders.evolution.rules import evolve

        for place, draft in enumerate(drafts):
            chance = work.random("rule", draft.name)
            others = [d.lineage[0] for at, d in enumerate(drafts) if at != place]
            yield evolve(draft.operator, draft.lineage[0], others, chance), True

    def _by_teacher(
        self, work: "Workshop", drafts: Sequence[_Draft]
    ) -> "Iterator[tuple[AskedPrompt, bool]]":
        from kdbench.builders.evolution.forms import AskedPrompt
        from kdbench.builders.evolution.operators import question_for, written
        from kdbench.builders.workshop.questions import instruction

        questions = [
            instruction(draft.name, question_for(draft.operator, draft.lineage[0].whole))
            for draft in drafts
        ]
        found = work.sample(_KEY, questions, step="evolved prompts")
        for draft in drafts:
            (response,) = found[draft.name]
            yield AskedPrompt(written(response.text)), response.finish != "length"

    def _with_gain(self, work: "Workshop", drafts: list[_Draft]) -> list[_Draft]:
        """The drafts that the teacher finds to ask something else than their parents."""
        from kdbench.builders.evolution.failures import says_same
        from kdbench.builders.evolution.operators import question_of_sameness
        from kdbench.builders.workshop.questions import instruction

        if not self.ask_gain:
            return drafts
        questions = [
            instruction(d.name, question_of_sameness(d.lineage[0].whole, d.prompt.whole))
            for d in drafts
            if d.prompt is not None
        ]
        found = work.sample(_KEY, questions, step="gain")
        good = []
        for draft in drafts:
            if says_same(found[draft.name][0].text):
                _fail(work, draft, "no gain, says the teacher")
            else:
                good.append(draft)
        return good

    def _answers(self, work: "Workshop", drafts: Sequence[_Draft]) -> Mapping[str, str]:
        """The answers that are of use, by name of the draft."""
        from kdbench.builders.evolution.failures import answer_failure
        from kdbench.builders.evolution.forms import question

        questions = [question(d.row, d.prompt, d.name) for d in drafts if d.prompt is not None]
        found = work.sample(_KEY, questions, step="answers")
        answers = {}
        for draft in drafts:
            (response,) = found[draft.name]
            whole = draft.prompt.whole if draft.prompt is not None else ""
            if failure := answer_failure(response.text, whole):
                _fail(work, draft, failure, answer=response.text)
                continue
            work.count("cut answers", int(response.finish == "length"))
            answers[draft.name] = response.text
        return answers


def _fail(work: "Workshop", draft: _Draft, reason: str, **facts: Any) -> None:
    """Record an evolved prompt of no use; its parent stays."""
    text = draft.prompt.whole if draft.prompt is not None else ""
    facts = {"evolved": text, "operator": draft.operator, "attempt": draft.name, **facts}
    work.remove(draft.row, reason, **facts)
