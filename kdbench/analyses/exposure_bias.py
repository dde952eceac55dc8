"""Exposure bias: whether students of their own samples are less lost on their own prefixes.

Question: a student that learns on given responses never sees its own mistakes. Does training on its
    own samples (GKD, OPD, MiniLLM) make it err less on its own prefixes than training on the
    dataset's or the teacher's responses (SFT, KD, SeqKD)?
Paper: MiniLLM (arXiv 2306.08543), after Arora et al. 2022: ExAccErr(l) = 100 (R(l) - l eps(l)) /
    (l eps(l)) percent, R(l) the forward KL summed over the first l tokens on the student's
    prefixes, l eps(l) the same on the teacher's. The definition is that of the metric
    `exposure_error` (certainty R: code of MiniLLM was read).
Ours: the paired comparison over training seeds, the pair of rows that differ in nothing but the
    prefixes (GKD's loss with all and with no student samples), and the correlation with the score.
    Since ExAccErr is a ratio, it also falls where a student errs more on the teacher's prefixes;
    so both divergences stand beside it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from statistics import mean
from typing import Any, ClassVar

from pydantic import Field

from kdbench.analyses import Analysis, analyses
from kdbench.analyses.core.against import LEVEL
from kdbench.analyses.core.bench import AnalysisWorld
from kdbench.analyses.core.filled import FilledRows
from kdbench.analyses.seeded.curves import BySeed, seed_curve
from kdbench.config import Names
from kdbench.errors import InputError
from kdbench.stats.over_seeds import SeedMean, difference_over_seeds, mean_over_seeds
from kdbench.stats.paired import holm
from kdbench.store.conclusions import (
    Conclusion,
    ConclusionColumn,
    ConclusionTable,
    Panel,
    PanelCurve,
    Quantity,
)

_ERROR, _OWN, _TEACHERS, _SCORE = "exposure_error", "fkl@student", "fkl@teacher", "AVG"
_GIVEN, _SAMPLED = "GKD given prefixes", "GKD own prefixes"
_FEWEST = 10
"""Responses that must reach a token index for it to be drawn."""


@analyses.register("exposure_bias")
class ExposureBias(Analysis, group="Exposure bias"):
    """Whether training on own samples reduces exposure bias, by paired training seeds.

    GKD stands for the cleanest comparison: one loss, with all prefixes sampled or all given.
    """

    title: ClassVar[str] = "Exposure bias"
    question: ClassVar[str] = (
        "Does training on own samples reduce the excess error on own prefixes?"
    )
    paper: ClassVar[str] = "MiniLLM 2023, arXiv 2306.08543"
    basis: ClassVar[str] = "paper and authors' code (the metric)"

    off_policy: Names = Field(
        ("sft", "kd", "seqkd"), min_length=1, description="Methods that learn on given responses"
    )
    on_policy: Names = Field(
        ("opd", "minillm"), min_length=1, description="Methods that learn on the student's samples"
    )
    tasks: Names = Field(
        ("vicuna",), min_length=1, description="Tasks to measure, whose responses reach 16 tokens"
    )

    def table(self, world: AnalysisWorld) -> Mapping[str, Any]:  # noqa: ARG002
        """A row for each method, and two of GKD."""
        if twice := [name for name in self.on_policy if name in self.off_policy]:
            raise InputError(f"on_policy={twice[0]}: is in off_policy= too; leave one out")
        rows = [_row(name) for name in self.off_policy]
        for label, fraction in ((_GIVEN, 0), (_SAMPLED, 1)):
            rows.append({"label": label, "train": {"method": "gkd", "student_fraction": fraction}})
        rows += [_row(name) for name in self.on_policy]
        return {
            "rows": rows,
            "train": {
                "steps": 60,
                "batch_size": 32,
                "learning_rate": 1e-3,
                "max_new_tokens": 64,
                "select": "last",
                "validation_limit": 20,
            },
            "evaluate": {"metrics": ["rougeL", "exposure_error", "fkl"], "limit": 100},
            "tasks": list(self.tasks),
        }

    def answer(self, filled: FilledRows) -> Conclusion:
        """Excess errors by row, the paired comparisons, and the correlation with the score."""
        given, own = [*self.off_policy, _GIVEN], [_SAMPLED, *self.on_policy]
        errors = {label: filled.values(label, _ERROR) for label in (*given, *own)}
        overall = difference_over_seeds(
            _means([errors[label] for label in own]), _means([errors[label] for label in given])
        )
        clean = difference_over_seeds(errors[_SAMPLED], errors[_GIVEN])
        scores = {label: filled.values(label, _SCORE) for label in (*given, *own)}
        relation = correlation_over_seeds(errors, scores)
        return self.conclude(
            *_sentences(overall, clean, relation, len(errors)),
            tables=(
                _rows_table(filled, given, own),
                _comparisons_table(
                    {
                        "own prefixes - given prefixes, means of the rows": overall,
                        f"{_SAMPLED} - {_GIVEN}, one loss": clean,
                    }
                ),
                _relation_table(relation),
            ),
            panels=tuple(_panels(filled, errors, scores)),
            notes=(
                "Brackets hold 95 % intervals over training seeds; the p-values of the comparisons "
                "are Holm's.",
                "Excess error is the KL summed over the first 16 tokens on the student's own "
                "responses, over that on the teacher's, less 1. The rows differ in their losses "
                "too, but for the two of GKD.",
            ),
        )


def _row(name: str) -> dict[str, Any]:
    """A row of a method; SeqKD's teacher answers only the prompts that are used, one time each."""
    keys = {"fresh": True} if name == "seqkd" else {}
    return {"label": name, "train": {"method": name, **keys}}


def correlation_over_seeds(
    errors: Mapping[str, BySeed], scores: Mapping[str, BySeed]
) -> SeedMean | None:
    """The mean over training seeds of the rows' rank correlation (Kendall's τ-b).

    Args:
        errors: Excess error by row and seed.
        scores: Score by row and seed.

    Returns:
        The mean; None if it is defined in no seed, as with equal numbers.
    """
    from scipy.stats import kendalltau

    shared = set.intersection(*(set(by_seed) for by_seed in errors.values()))
    found = {}
    for seed in shared:
        pairs = [(errors[label][seed], scores[label][seed]) for label in errors]
        tau = float(kendalltau(*zip(*pairs, strict=True)).statistic)
        if tau == tau:  # noqa: PLR0124 - not a number if all are equal
            found[seed] = tau
    if not found:
        return None
    average = mean_over_seeds(found)
    if average.low is None or average.high is None:
        return average
    return replace(average, low=max(-1.0, average.low), high=min(1.0, average.high))


def _means(rows: Sequence[BySeed]) -> BySeed:
    """The mean over rows by training seed."""
    shared = set.intersection(*(set(row) for row in rows))
    return {seed: mean(row[seed] for row in rows) for seed in sorted(shared)}


def _sentences(
    overall: SeedMean, clean: SeedMean, relation: SeedMean | None, rows: int
) -> Iterator[str]:
    words = {
        -1: "is lower with training on own samples",
        0: "shows no difference between training on own samples and on given responses",
        1: "is higher with training on own samples",
    }
    told = [0 if p is None or p > LEVEL else of.direction for of, p in _corrected(overall, clean)]
    yield (
        f"The excess error {words[told[0]]}: {_difference(overall)}; with GKD's loss "
        f"alone, own less given prefixes: {_difference(clean)}"
        + ("." if told[1] else ", no difference seen.")
    )
    if relation is None:
        yield "Its relation to the score is not defined: the rows have equal numbers."
        return
    seen = {
        -1: "those with less excess error score better",
        0: "no relation to the score is seen",
        1: "those with less excess error score worse",
    }
    yield (
        f"Over the {rows} rows, {seen[relation.direction]} (Kendall's τ {relation.value:+.2f}"
        f"{_ends(relation)})."
    )


def _corrected(*found: SeedMean) -> list[tuple[SeedMean, float | None]]:
    """Comparisons with Holm's p-values, which are None without an interval."""
    known = [place for place, one in enumerate(found) if one.p is not None]
    p = dict(zip(known, holm([found[place].p or 0.0 for place in known]), strict=True))
    return [(one, p.get(place)) for place, one in enumerate(found)]


def _difference(found: SeedMean) -> str:
    return f"{found.value:+.1f} percentage points{_ends(found, 1)}"


def _ends(found: SeedMean, decimals: int = 2) -> str:
    if found.low is None or found.high is None:
        return ""
    return f" [{found.low:+.{decimals}f}, {found.high:+.{decimals}f}]"


def _rows_table(filled: FilledRows, given: Sequence[str], own: Sequence[str]) -> ConclusionTable:
    columns = (
        ConclusionColumn(title="row"),
        ConclusionColumn(title="prefixes in training"),
        ConclusionColumn(title="excess error", unit="%", decimals=1),
        ConclusionColumn(title="KL on own responses", unit="nats"),
        ConclusionColumn(title="KL on the teacher's", unit="nats"),
        ConclusionColumn(title="score", unit="points", decimals=2),
    )
    rows = tuple(
        (
            label,
            "own" if label in own else "given",
            *(
                Quantity.of(mean_over_seeds(filled.values(label, column)))
                for column in (_ERROR, _OWN, _TEACHERS, _SCORE)
            ),
        )
        for label in (*given, *own)
    )
    return ConclusionTable(title="Students after training", columns=columns, rows=rows)


def _comparisons_table(found: Mapping[str, SeedMean]) -> ConclusionTable:
    columns = (
        ConclusionColumn(title="comparison"),
        ConclusionColumn(
            title="difference of excess error", unit="points of %", decimals=1, signed=True
        ),
    )
    rows = tuple(
        (name, Quantity.of(difference, p=p))
        for name, (difference, p) in zip(found, _corrected(*found.values()), strict=True)
    )
    return ConclusionTable(title="Paired by training seed", columns=columns, rows=rows)


def _relation_table(relation: SeedMean | None) -> ConclusionTable:
    columns = (
        ConclusionColumn(title="over the rows"),
        ConclusionColumn(title="Kendall's τ", decimals=2, signed=True),
    )
    cell = None if relation is None else Quantity.of(relation, p=relation.p)
    return ConclusionTable(
        title="Relation to the score", columns=columns, rows=(("excess error and score", cell),)
    )


def _panels(
    filled: FilledRows, errors: Mapping[str, BySeed], scores: Mapping[str, BySeed]
) -> Iterator[Panel]:
    excess = {label: _by_length(filled, label, _excess_at) for label in errors}
    yield Panel(
        title="Accumulated",
        x_label="first l tokens of a response",
        y_label="excess error (%)",
        curves=tuple(seed_curve(label, curves) for label, curves in excess.items()),
    )
    gaps = {label: _by_length(filled, label, _gap_at) for label in errors}
    yield Panel(
        title="At a token",
        x_label="token of the response",
        y_label="KL on own less on teacher's prefixes (nats)",
        curves=tuple(seed_curve(label, curves) for label, curves in gaps.items()),
    )
    points = {label: (errors[label], scores[label]) for label in errors}
    yield Panel(
        title="Relation to the score",
        x_label="excess error at 16 tokens (%)",
        y_label="score (points)",
        curves=tuple(
            PanelCurve(
                label=label,
                x=tuple(x.values()),
                y=tuple(y[seed] for seed in x),
                joined=False,
            )
            for label, (x, y) in points.items()
        ),
    )


def _by_length(filled: FilledRows, label: str, read: Any) -> dict[int, dict[int, float]]:
    """Values by token index, averaged over tasks, by training seed."""
    found = {}
    for seed, row in filled.of(label).items():
        tasks = [read(result.curves) for result in row.run.results.values()]
        shared = set.intersection(*(set(task) for task in tasks))
        found[seed] = {index: mean(task[index] for task in tasks) for index in sorted(shared)}
    return found


def _excess_at(curves: Mapping[str, Mapping[str, list[Any]]]) -> dict[int, float]:
    curve = curves[_ERROR]
    columns = zip(curve["stop"], curve["value"], curve["n"], strict=True)
    return {stop: value for stop, value, n in columns if n >= _FEWEST and value is not None}


def _gap_at(curves: Mapping[str, Mapping[str, list[Any]]]) -> dict[int, float]:
    own, teachers = (
        {start: (value, n) for start, value, n in zip(c["start"], c["value"], c["n"], strict=True)}
        for c in (curves[_OWN], curves[_TEACHERS])
    )
    return {
        start + 1: own[start][0] - teachers[start][0]
        for start in own
        if start in teachers and min(own[start][1], teachers[start][1]) >= _FEWEST
    }
