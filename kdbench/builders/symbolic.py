"""Symbolic knowledge distillation: a teacher writes statements, and a critic keeps the good ones.

Paper: West et al. 2021, Symbolic Knowledge Distillation (arXiv 2110.07178). GPT-3 completed
    few-shot prompts into commonsense triples, RoBERTa was trained on judged ones and filtered the
    rest, and a small model was trained on the text of what was left.

What is ours: the critic is a logistic regression on four numbers of a statement under a model
    (mean and least log-probability of its tokens, mean entropy, number of tokens), trained on some
    200 judged statements, so its precision is no match for a large classifier's. A rule may judge
    in place of people (`judge=`). The first line of a response is the statement.
"""

from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import AfterValidator, Field

from kdbench.builders import Builder, BuiltRow, builders
from kdbench.errors import InputError

if TYPE_CHECKING:
    from kdbench.builders.critic.logistic import Classifier
    from kdbench.builders.workshop.questions import ModelQuestion
    from kdbench.builders.workshop.scoring import Distributions
    from kdbench.builders.workshop.workshop import Workshop
    from kdbench.config.build_keys import BuildSettings
    from kdbench.distillation.rows import TrainingRow

_FEATURES = ("mean log-probability", "least log-probability", "mean entropy", "length")
_LABEL = "right"  # the column of judged=
_FEWEST = 10  # judged statements


@dataclass(frozen=True)
class _Statement:
    """A statement with its row.

    Attributes:
        id: Id of the row and the place among its statements.
        row: The row that asked.
        text: The statement.
        features: What the critic sees of it.
    """

    id: str
    row: "TrainingRow"
    text: str
    features: tuple[float, ...]


@dataclass(frozen=True)
class _Judged:
    """What the critic learns from: id, features, and whether it is right."""

    id: str
    features: tuple[float, ...]
    right: bool


def _known_verifier(name: str) -> str:
    from kdbench.training.verifiers import known_verifier  # imports all of the training

    return known_verifier(name)


@builders.register("symbolic")
class Symbolic(Builder):
    """Statements that a teacher writes and a critic believes."""

    title: ClassVar[str] = "Symbolic knowledge distillation"
    paper: ClassVar[str] = "West et al. 2021, arXiv 2110.07178"
    family: ClassVar[str] = "generate"
    basis: ClassVar[str] = "paper, second-hand for its figures"
    adapted: ClassVar[str] = "the critic is a logistic regression on scores of a model, not RoBERTa"
    cost: ClassVar[str] = "teacher generation; one forward pass of the critic's model"
    models: ClassVar[tuple[str, ...]] = ("teacher", "critic")
    files: ClassVar[tuple[str, ...]] = ("judged",)
    samples: ClassVar[bool] = True

    teacher: str = Field(description="Checkpoint that writes, or its name on a server")
    critic: str | None = Field(
        None, description="Checkpoint whose scores the critic reads (default: the teacher)"
    )
    responses: int = Field(1, ge=1, description="Number of statements for each row")
    shots: int = Field(
        0,
        ge=0,
        le=64,
        description="Number of other rows, from the first 256, that are shown before each; a plain "
        "text is continued from these alone",
    )
    judge: Annotated[str, AfterValidator(_known_verifier)] | None = Field(
        None,
        description="Rule that judges statements by the references: exact_match, number or "
        "rougeL>=0.7",
    )
    judged: Path | None = Field(
        None,
        description="Judged statements instead: rows like those of the set, with right: true or "
        "false",
    )
    judgements: int = Field(200, ge=_FEWEST, description="Number of statements that judge= judges")
    threshold: float | None = Field(
        None, ge=0, le=1, description="Least probability of what is kept (default: 0.5)"
    )
    share: float | None = Field(
        None, gt=0, le=1, description="Share of the statements to keep instead, the best ones"
    )

    def check(self, settings: "BuildSettings") -> None:
        """Refuse what contradicts."""
        from kdbench.builders.workshop.protocol import refuse_greedy

        if (self.judge is None) == (self.judged is None):
            raise InputError("pass judge=RULE or judged=FILE.jsonl: the critic learns from one")
        if self.threshold is not None and self.share is not None:
            raise InputError("threshold= and share= both say what is kept: leave one of them out")
        if self.responses > 1:
            refuse_greedy(settings, "responses", self.responses)

    def build(self, work: "Workshop") -> Iterator[BuiltRow]:
        """Yield the statements that the critic keeps, with its probability as `critic`."""
        from kdbench.builders.critic.judged import curve, unseen_probabilities
        from kdbench.builders.critic.logistic import fit

        known = self._from_file(work) if self.judged is not None else self._by_rule(work)
        features, right = [seen.features for seen in known], [seen.right for seen in known]
        if len(known) < _FEWEST or len(set(right)) < 2:
            raise InputError(
                f"{len(known)} judged statements, {sum(right)} of them right: the critic needs "
                f"{_FEWEST} or more, with right and wrong ones; judge more, or raise temperature="
            )
        work.figure("judged", len(known))
        work.figure("judged right", sum(right) / len(right))
        unseen = unseen_probabilities(features, right)
        work.figure("critic by threshold", curve(unseen, right))
        critic = fit(features, right)
        weights = dict(zip(_FEATURES, critic.weights[1:].tolist(), strict=True))
        work.figure("critic weights", {name: round(value, 4) for name, value in weights.items()})
        least = self._least(work, critic)
        work.figure("threshold", least)
        seen, labels = {judged.id for judged in known}, list[tuple[bool, bool]]()
        for statement, p in self._valued(work, critic):
            if self.judge is not None and statement.id not in seen:
                labels.append((p >= least, self._rule(statement)))
            if p >= least:
                yield _row(statement, p)
            else:
                work.remove(statement.row, "below the threshold", text=statement.text, critic=p)
        for name, count in _shares(labels):
            work.figure(name, count)

    def plan(self, rows: int) -> Iterator[tuple[str, str]]:
        """Yield the statements and what the critic learns from."""
        yield "asks of teacher", f"{rows * self.responses} statements"
        yield "critic", f"learns from {self.judged or f'{self.judgements} judged by {self.judge}'}"

    # Statements

    def _statements(self, work: "Workshop") -> Iterator[_Statement]:
        """Yield all statements, in order; each text once for each row."""
        from kdbench.builders.workshop.scoring import TextToScore

        pool = next(work.chunks()) if self.shots else []
        for rows in work.chunks():
            questions = [self._question(row, pool, work) for row in rows]
            found = work.sample("teacher", questions, self.responses, "statements")
            texts = []
            for row in rows:
                seen = dict.fromkeys(_first_line(response.text) for response in found[row.id])
                texts += [
                    TextToScore(f"{row.id}#{place}", row, text)
                    for place, text in enumerate(seen, start=1)
                    if text
                ]
            scores = work.score([self._scorer], texts, _features, "critic")
            for text in texts:
                if text.id in scores:
                    features = tuple(scores[text.id]["features"])
                    yield _Statement(text.id, text.row, str(text.response), features)

    def _question(
        self, row: "TrainingRow", pool: "Sequence[TrainingRow]", work: "Workshop"
    ) -> "ModelQuestion":
        """The row after examples; a plain text asks for another one like its examples.

        Raises:
            InputError: A plain text without examples.
        """
        from kdbench.builders.workshop.questions import ModelQuestion, question_of
        from kdbench.views.chat import turns_of

        if not self.shots and not row.is_text:
            return question_of(row)
        if not self.shots:
            raise InputError(f"row '{row.id}': a plain text asks nothing; pass shots=4 or so")
        others = [other for other in pool if other.id != row.id]
        if len(others) < self.shots:
            raise InputError(f"shots={self.shots}: the set has {len(others)} other rows")
        shown = work.random("shots", row.id).sample(others, self.shots)
        if row.is_text:
            text = "".join(f"{_first_line(other.references[0])}\n" for other in shown)
            return ModelQuestion(row.id, text, text.rstrip())
        before = "".join(f"{other.prompt}{other.references[0]}\n\n" for other in shown)
        turns: list[Mapping[str, str]] = []
        for other in shown:
            turns += turns_of(other.message)
            turns.append({"role": "assistant", "content": other.references[0]})
        turns += turns_of(row.message)
        return ModelQuestion(
            row.id, before + row.prompt if row.prompt else "", _conversation(turns)
        )

    # The critic

    @property
    def _scorer(self) -> str:
        return "teacher" if self.critic is None else "critic"

    def _rule(self, statement: _Statement) -> bool:
        from kdbench.training.verifiers import reward_of, verifier
        from kdbench.views.rollout import Example

        row = statement.row
        example = Example(row.id, (), (), row.references, fields=row.fields)
        return reward_of(verifier(str(self.judge)), example, statement.text) > 0.5

    def _by_rule(self, work: "Workshop") -> list[_Judged]:
        """A random sample of statements, and whether the rule finds them right."""
        draw, sample = work.random("judged"), list[_Statement]()
        for count, statement in enumerate(self._statements(work)):
            if statement.row.is_text:
                raise InputError(
                    "a plain text has no reference to judge by; pass judged=FILE.jsonl"
                )
            if len(sample) < self.judgements:
                sample.append(statement)
            elif (place := draw.randrange(count + 1)) < self.judgements:
                sample[place] = statement
        draw.shuffle(sample)
        return [_Judged(known.id, known.features, self._rule(known)) for known in sample]

    def _from_file(self, work: "Workshop") -> list[_Judged]:
        """The statements that were judged before.

        Raises:
            InputError: A row does not say whether it is right.
        """
        from kdbench.builders.workshop.scoring import TextToScore
        from kdbench.distillation.data import SetFile, stream_rows

        rows = list(stream_rows(SetFile(None, str(self.judged), "train", None)))
        for row in rows:
            if not isinstance(row.fields.get(_LABEL), bool):
                raise InputError(f"{self.judged}: row '{row.id}': '{_LABEL}' must be true or false")
        work.random("judged").shuffle(rows)
        texts = [TextToScore(row.id, row, row.references[0]) for row in rows]
        scores = work.score([self._scorer], texts, _features, "judged")
        return [
            _Judged("", tuple(scores[row.id]["features"]), bool(row.fields[_LABEL]))
            for row in rows
            if row.id in scores
        ]

    def _valued(self, work: "Workshop", critic: "Classifier") -> Iterator[tuple[_Statement, float]]:
        """Yield the statements with the critic's probabilities, as they are written."""
        for statement in self._statements(work):
            p = float(critic.probabilities([statement.features])[0])
            yield statement, round(p, 6)  # as a line of a file keeps it

    def _least(self, work: "Workshop", critic: "Classifier") -> float:
        """The least probability of what is kept."""
        if self.share is None:
            return 0.5 if self.threshold is None else self.threshold
        values = array("d", (p for _, p in self._valued(work, critic)))
        ordered = sorted(values, reverse=True)
        return ordered[max(1, round(self.share * len(ordered))) - 1]


def _features(found: "Distributions") -> Mapping[str, Any]:
    """The critic's numbers of a statement under the one model that scores it."""
    ((key, log_probs),) = found.log_probs.items()
    log_p = found.log_p(key)
    entropy = -(log_probs.exp() * log_probs.clamp(min=-1e4)).sum(-1)
    values = (log_p.mean(), log_p.min(), entropy.mean(), len(log_p))
    return {"features": [float(value) for value in values]}


def _shares(labels: Sequence[tuple[bool, bool]]) -> Iterator[tuple[str, float]]:
    """Yield what the rule says of the statements that the critic has not seen judged.

    Args:
        labels: Whether each was kept, and whether it is right.
    """
    kept = [right for is_kept, right in labels if is_kept]
    rights = sum(right for _, right in labels)
    if labels:
        yield "unseen: right before the filter", rights / len(labels)
    if kept:
        yield "unseen: right after it (precision)", sum(kept) / len(kept)
    if rights:
        yield "unseen: right ones kept (recall)", sum(kept) / rights


def _first_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[0].strip() if lines else ""


def _row(statement: _Statement, p: float) -> BuiltRow:
    from kdbench.builders.workshop.questions import answered, kept

    row = statement.row
    if row.is_text:
        row = replace(row, id=statement.id, asked={"text": statement.text})
        return kept(row, critic=p)
    return answered(row, statement.text, name=statement.id, critic=p)


def _conversation(turns: Sequence[Mapping[str, str]]) -> Any:
    from kdbench.views.chat import Turn

    return tuple(Turn(turn["role"], turn["content"]) for turn in turns)
