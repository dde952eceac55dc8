"""Compute-optimal sampling: a weak model's many samples against a strong one's few, at equal FLOPs.

Paper: Bansal et al. 2024, Smaller, Weaker, Yet Better (arXiv 2408.16737). A model of P parameters
    takes 2P operations a token, so a weak one with P_w parameters gives P_s/P_w responses for one
    of a strong model with P_s. The right responses are kept, and a student learns them.

    coverage@k = mean over prompts of 1 - C(n - c, k) / C(n, k), with c of n responses right

What is ours: `sampler=both` gives each model half of the budget. A false positive is a response
    that the verifier takes and a second, stricter rule does not (`checker=`); the paper had people
    and a large model read the reasoning. Equal responses to a prompt are kept once, unless
    `repeats=keep`. Only generation counts, as in the paper: neither prompts nor verification.
"""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field

from kdbench.builders import Builder, BuiltRow, builders
from kdbench.errors import InputError
from kdbench.protocol import postprocess

if TYPE_CHECKING:
    from kdbench.builders.workshop.workshop import Workshop
    from kdbench.config.build_keys import BuildSettings
    from kdbench.distillation.rows import TrainingRow
    from kdbench.training.verifiers import Verifier

Sampler = Literal["weak", "strong"]

_RESPONSES = 4  # of the strong model to a prompt
_RIGHT = 0.5  # rewards are 0 or 1
_OPERATIONS = 2  # of a parameter, for a token
_ROUNDING = 1e-9  # of a number of responses: 100 times 1.15 is 115


def _known_verifier(name: str) -> str:
    from kdbench.training.verifiers import known_verifier  # imports all of the training

    return known_verifier(name)


def coverage(n: int, right: int, k: int) -> float:
    """The probability that one of k responses, drawn from n without replacement, is right.

    Args:
        n: Number of responses.
        right: Number of right ones, 0 to n.
        k: Number of draws, 1 to n.
    """
    return 1 - math.comb(n - right, k) / math.comb(n, k)


@builders.register("compute_optimal")
class ComputeOptimal(Builder):
    """Right responses of a weak or a strong model, sampled at equal cost."""

    title: ClassVar[str] = "Compute-optimal sampling"
    paper: ClassVar[str] = "Bansal et al. 2024, arXiv 2408.16737"
    family: ClassVar[str] = "generate"
    basis: ClassVar[str] = "notes on the paper"
    cost: ClassVar[str] = "generation: `responses` of the strong model, or as many FLOPs"
    models: ClassVar[tuple[str, ...]] = ("weak", "strong")
    samples: ClassVar[bool] = True

    weak: str | None = Field(None, description="The smaller model, or its name on a server")
    strong: str | None = Field(None, description="The larger model, or its name on a server")
    sampler: Literal["weak", "strong", "both"] = Field(
        "weak", description="Which model answers; both gives each half of the budget"
    )
    responses: int | None = Field(
        None,
        ge=1,
        description="Budget as responses of the strong model to a prompt (default: 4); the weak "
        "one gives P_s/P_w times as many",
    )
    budget: float | None = Field(
        None,
        gt=0,
        description="Budget as FLOPs of the generation for a prompt, at responses of "
        "max_new_tokens; instead of responses=",
    )
    ratio: float | None = Field(
        None, ge=1, description="P_s/P_w (default: from the sizes of weak= and strong=)"
    )
    verifier: Annotated[str, AfterValidator(_known_verifier)] = Field(
        "exact_match", description="What is right: exact_match, number or rougeL>=0.7"
    )
    checker: Annotated[str, AfterValidator(_known_verifier)] | None = Field(
        None,
        description="A stricter verifier; what is right without passing it counts as a false "
        "positive, which is kept",
    )
    repeats: Literal["drop", "keep"] = Field(
        "drop", description="What becomes of equal right responses to a prompt"
    )
    by: str | None = Field(None, description="Column by whose values coverage is given too")

    def check(self, settings: "BuildSettings") -> None:
        """Refuse a sampler without its model, two budgets, and greedy decoding."""
        from kdbench.builders.workshop.protocol import refuse_greedy

        for key in self._samplers:
            if getattr(self, key) is None:
                raise InputError(f"sampler={self.sampler} needs {key}=: name a checkpoint")
        if self.budget is not None and self.responses is not None:
            raise InputError("responses= and budget= are two budgets: leave one of them out")
        known = self.ratio is not None or self.strong is not None
        if "weak" in self._samplers and self.budget is None and not known:
            raise InputError(
                "responses= are those of the strong model: name it with strong=, or pass ratio= "
                "(P_s/P_w), or a budget="
            )
        refuse_greedy(settings, "sampler", self.sampler)

    def build(self, work: "Workshop") -> Iterator[BuiltRow]:
        """Yield each prompt with its right responses; a prompt without one is left out."""
        from kdbench.builders.workshop.questions import answered, question_of
        from kdbench.training.verifiers import verifier

        tallies = {key: _Tally(self._count(key, work), self.by) for key in self._samplers}
        right_of = verifier(self.verifier)
        check = None if self.checker is None else verifier(self.checker)
        for rows in work.chunks():
            questions = [question_of(row) for row in rows]
            found = {
                key: work.sample(key, questions, tally.n, f"{key} responses")
                for key, tally in tallies.items()
            }
            for row in rows:
                right = {
                    key: [
                        text for r in found[key][row.id] if _passes(right_of, row, text := r.text)
                    ]
                    for key in tallies
                }
                for key, tally in tallies.items():
                    failed = 0 if check is None else _failures(check, row, right[key])
                    tally.add(row, right[key], failed)
                kept = self._kept(right)
                if not kept:
                    work.remove(row, "no right response")
                for name, text in kept:
                    origin = {"sampler": name.partition("-")[0]} if self.sampler == "both" else {}
                    yield answered(row, text, name=f"{row.id}#{name}", **origin)
        for key, tally in tallies.items():
            for name, value in tally.figures(check is not None):
                work.figure(f"{key} {name}", value)

    def plan(self, rows: int) -> Iterator[tuple[str, str]]:
        """Yield the budget."""
        size = (
            f"{self.budget:g} FLOPs for a prompt"
            if self.budget is not None
            else f"{rows * (self.responses or _RESPONSES)} responses of the strong model"
        )
        yield "budget", size + (", half for each model" if self.sampler == "both" else "")
        yield "keeps", f"what {self.verifier} finds right"

    @property
    def _samplers(self) -> tuple[Sampler, ...]:
        return ("weak", "strong") if self.sampler == "both" else (self.sampler,)

    def _count(self, key: Sampler, work: "Workshop") -> int:
        """The number of responses to a prompt that a model's share of the budget pays.

        Raises:
            InputError: It pays none, or a size is not known.
        """
        share = 1 / len(self._samplers)
        if self.budget is not None:
            size, length = _size(key, work, "pass responses= and ratio="), work.response_limit
            count = int(self.budget * share / (_OPERATIONS * size * length) + _ROUNDING)
        else:
            ratio = self._ratio(work) if key == "weak" else 1
            count = int((self.responses or _RESPONSES) * share * ratio + _ROUNDING)
        if not count:
            raise InputError(f"the budget pays no response of {key}=: raise responses= or budget=")
        return count

    def _ratio(self, work: "Workshop") -> float:
        if self.ratio is not None:
            return self.ratio
        way_out = "pass ratio= (P_s/P_w)"
        ratio = _size("strong", work, way_out) / _size("weak", work, way_out)
        if ratio < 1:
            raise InputError("weak= has more parameters than strong=: exchange the two")
        return ratio

    def _kept(self, right: Mapping[Sampler, Sequence[str]]) -> list[tuple[str, str]]:
        """The right responses to keep, each with the end of its row's id."""
        kept, seen = list[tuple[str, str]](), set[str]()
        for key, texts in right.items():
            for number, text in enumerate(texts, start=1):
                if self.repeats == "keep" or postprocess(text) not in seen:
                    seen.add(postprocess(text))
                    kept.append((f"{key}-{number}", text))
        return kept


class _Tally:
    """What a model's responses came to.

    Args:
        n: Responses to each prompt.
        by: Column whose values are counted apart; None for none.
    """

    def __init__(self, n: int, by: str | None):
        self.n = n
        self._by = by
        self._right = Counter[tuple[str, int]]()  # prompts, by value of the column and right ones
        self._all = self._distinct = self._failed = 0

    def add(self, row: "TrainingRow", right: Sequence[str], failed: int) -> None:
        """Count a prompt.

        Args:
            row: The prompt.
            right: Its right responses.
            failed: How many of these the checker refuses.

        Raises:
            InputError: The row lacks the column.
        """
        value = ""
        if self._by is not None:
            if self._by not in row.fields:
                raise InputError(f"row '{row.id}' has no column '{self._by}', which by= names")
            value = str(row.fields[self._by])
        self._right[value, len(right)] += 1
        self._all += len(right)
        self._distinct += len(set(map(postprocess, right)))
        self._failed += failed

    def figures(self, checked: bool) -> Iterator[tuple[str, Any]]:
        """Yield the figures for the card.

        Args:
            checked: Whether there is a checker.
        """
        prompts = self._right.total()
        yield "responses to a prompt", self.n
        for k in sorted({1, *_powers_of_two(self.n), self.n}):
            yield f"coverage@{k}", self._coverage(k)
        values = sorted({value for value, _ in self._right}) if self._by is not None else []
        for value in values:
            yield f"coverage@{self.n} of {value}", self._coverage(self.n, value)
        yield "right responses", self._all
        yield "different right responses to a prompt", self._distinct / prompts
        if checked and self._all:
            yield "false positives", self._failed / self._all

    def _coverage(self, k: int, value: str | None = None) -> float:
        counts = [
            (right, count)
            for (of, right), count in self._right.items()
            if value is None or of == value
        ]
        covered = math.fsum(count * coverage(self.n, right, k) for right, count in counts)
        return covered / sum(count for _, count in counts)


def _powers_of_two(most: int) -> Iterator[int]:
    k = 1
    while k <= most:
        yield k
        k *= 2


def _size(key: Sampler, work: "Workshop", way_out: str) -> int:
    parameters = work.model(key).parameters
    if parameters is None:
        raise InputError(f"the size of {key}= is not known, as a server has it: {way_out}")
    return parameters


def _passes(verify: "Verifier", row: "TrainingRow", text: str) -> bool:
    from kdbench.training.verifiers import reward_of
    from kdbench.views.rollout import Example

    example = Example(row.id, (), (), row.references, fields=row.fields)
    return bool(text.strip()) and reward_of(verify, example, text) > _RIGHT


def _failures(check: "Verifier", row: "TrainingRow", texts: Sequence[str]) -> int:
    return sum(not _passes(check, row, text) for text in texts)
