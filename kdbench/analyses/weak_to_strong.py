"""Weak-to-strong: how much of the gap to its own ceiling a strong student recovers.

Question: a strong model learns from the labels of a weaker one. Does it end above its teacher, and
    does confidence in its own choices help?
Paper: Burns et al. 2023 (arXiv 2312.09390), read in third-party notes alone (tags N and M).
Formula: performance gap recovered, PGR = (w2s - weak) / (ceiling - weak): 0 is as good as the weak
    teacher, 1 as good as the strong student that learned on the right answers.
Ours: labels are the weak teacher's sampled responses with its next-token distributions (method
    `weak_to_strong`, with and without its confidence loss); the interval over training seeds is
    Fieller's, of numerator and denominator paired by seed, and there is no PGR where the gap is not
    found above 0. The weak teacher and the start of the strong students are one checkpoint each,
    as in the paper, so the interval speaks of the strong students' trainings alone.
Toy world: both start from random weights and learn on the right answers, the weak one at the
    student's size for a few steps, the start of the strong ones at the teacher's size, which stands
    for the knowledge of pre-training. With models of one's own, teacher= is the weak one and
    student= the start of the strong ones.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from pydantic import Field

from kdbench.analyses import Analysis, analyses
from kdbench.analyses.core.against import LEVEL
from kdbench.analyses.core.bench import AnalysisBench, AnalysisWorld
from kdbench.analyses.core.filled import FilledRows
from kdbench.analyses.seeded.curves import BySeed
from kdbench.config import Names
from kdbench.config.kinds import AtLeastOne
from kdbench.metrics import base_of, metrics
from kdbench.stats.over_seeds import SeedMean, difference_over_seeds, mean_over_seeds
from kdbench.stats.paired import holm
from kdbench.stats.ratio import SeedRatio, ratio_over_seeds
from kdbench.store.conclusions import (
    Conclusion,
    ConclusionColumn,
    ConclusionTable,
    Panel,
    PanelCurve,
    Quantity,
)

_WEAK, _START, _CEILING = "Weak", "Strong start", "Ceiling"
_PLAIN, _CONFIDENT = "Weak labels", "Weak labels and confidence"


@analyses.register("weak_to_strong")
class WeakToStrongGap(Analysis, group="Weak-to-strong"):
    """How much of the gap between weak teacher and ceiling the strong student recovers.

    It compares plain weak labels with the confidence loss, by paired training seeds.
    """

    title: ClassVar[str] = "Weak-to-strong"
    question: ClassVar[str] = (
        "How much of the gap to its ceiling does a strong student of a weak teacher recover?"
    )
    paper: ClassVar[str] = "Burns et al. 2023, arXiv 2312.09390"
    basis: ClassVar[str] = "third-party notes"

    weak_steps: AtLeastOne = Field(60, description="Steps of the toy world's weak teacher")
    start_steps: AtLeastOne = Field(
        120, description="Steps of the strong students' start, in the toy world"
    )
    own_weight: float = Field(
        0.75, gt=0, le=1, description="Largest weight of own choices in the confidence loss"
    )
    measures: Names = Field(
        ("rougeL", "lm_loss"), min_length=1, description="Metrics whose gap is measured"
    )

    def run(self, bench: AnalysisBench) -> Conclusion:
        """Train the two models of the toy world, then the strong students; measure all."""
        if bench.world.folder is None:
            return self.answer(bench.fill(self.table(bench.world)))
        first = bench.fill(self._models(bench.world), "models")
        places = {row.label: str(row.checkpoint) for row in first.rows}
        own = AnalysisWorld("toy", places[_START], places[_WEAK], bench.world.data)
        starts = {name: next(iter(first.values(_START, name).values())) for name in self.measures}
        return self._conclude(bench.fill({**self.table(own), **_checkpoints(own)}), starts)

    def table(self, world: AnalysisWorld) -> Mapping[str, Any]:  # noqa: ARG002
        """The ceiling, and both students of the weak teacher."""
        weak = {"method": "weak_to_strong", "responses": "fresh"}
        return {
            "rows": [
                {"label": _CEILING, "train": {"method": "sft"}},
                {"label": _PLAIN, "train": {**weak, "own_weight": 0}},
                {"label": _CONFIDENT, "train": {**weak, "own_weight": self.own_weight}},
            ],
            "train": {"steps": 80, **_TRAINING},
            **self._evaluation(),
        }

    def answer(self, filled: FilledRows) -> Conclusion:
        """The gaps recovered, from a table without the score of the start."""
        return self._conclude(filled, {})

    def _models(self, world: AnalysisWorld) -> dict[str, Any]:
        weak = {"method": "sft", "student": f"random:{world.student}", "steps": self.weak_steps}
        start = {"method": "sft", "student": f"random:{world.teacher}", "steps": self.start_steps}
        rows = [{"label": _START, "train": start}]
        return {
            "teacher": {"label": _WEAK, "train": {**weak, "learning_rate": 5e-3}},
            "rows": rows,
            "train_seeds": 1,
            "train": {**_TRAINING, "learning_rate": 2e-3},
            **self._evaluation(),
        }

    def _evaluation(self) -> dict[str, Any]:
        evaluate = {"metrics": list(self.measures), "limit": 100, "seeds": [10, 20]}
        return {"evaluate": evaluate, "tasks": ["dolly"]}

    def _conclude(self, filled: FilledRows, starts: Mapping[str, float]) -> Conclusion:
        found = {name: _Gap(filled, name) for name in self.measures}
        p = holm([gap.help.p if gap.help.p is not None else 1.0 for gap in found.values()])
        return self.conclude(
            *_sentences(found, p),
            tables=(
                *(_score_table(name, gap, starts.get(name)) for name, gap in found.items()),
                _recovered_table(found),
                _help_table(found, p),
            ),
            panels=tuple(_panel(name, gap) for name, gap in found.items()),
            notes=(
                "Brackets hold 95 % intervals over the training seeds of the strong students, of "
                "PGR by Fieller; the weak teacher is one checkpoint. PGR is 0 for a student like "
                "its weak teacher and 1 for the ceiling.",
                "p-values are Holm's over the measures.",
            ),
        )


_TRAINING = {
    "batch_size": 32,
    "learning_rate": 1e-3,
    "max_new_tokens": 64,
    "select": "last",
    "validation_limit": 20,
    "validation_samples": 1,
}


def _checkpoints(world: AnalysisWorld) -> dict[str, Any]:
    return {
        "teacher": {"label": _WEAK, "checkpoint": world.teacher},
        "student": {"label": _START, "checkpoint": world.student},
    }


class _Gap:
    """What was found in a measure; larger is better, also of losses, once `sign` is applied.

    Attributes:
        weak: Value of the weak teacher.
        values: Values by condition and seed.
        gap: The ceiling less the weak teacher.
        recovered: The PGR of each condition; None where the gap is not found above 0.
        help: What the confidence loss adds, paired by seed.
    """

    def __init__(self, filled: FilledRows, name: str):
        self.sign = -1.0 if metrics.get(base_of(name)).direction == "lower" else 1.0
        weak = next(row.label for row in filled.rows if row.seed is None)
        self.weak = filled.value(weak, name)
        self.values = {
            label: filled.values(label, name) for label in (_CEILING, _PLAIN, _CONFIDENT)
        }
        gaps = {label: self._above_weak(values) for label, values in self.values.items()}
        self.gap = mean_over_seeds(gaps[_CEILING])
        self.recovered: dict[str, SeedRatio | None] = {
            label: ratio_over_seeds(gaps[label], gaps[_CEILING]) for label in (_PLAIN, _CONFIDENT)
        }
        self.help = difference_over_seeds(gaps[_CONFIDENT], gaps[_PLAIN])

    def _above_weak(self, values: BySeed) -> dict[int, float]:
        return {seed: self.sign * (value - self.weak) for seed, value in values.items()}


def _sentences(found: Mapping[str, _Gap], p: Sequence[float]) -> Iterator[str]:
    for (name, gap), corrected in zip(found.items(), p, strict=True):
        plain, confident = gap.recovered[_PLAIN], gap.recovered[_CONFIDENT]
        if plain is None or confident is None:
            yield (
                f"In {name} no gap is recovered or lost: the ceiling is not found better than the "
                f"weak teacher ({gap.gap.value:+.3f}{_ends(gap.gap.low, gap.gap.high, 3)})."
            )
            continue
        words = {
            1: "the confidence loss helps",
            0: "no difference is seen with the confidence loss",
            -1: "the confidence loss harms",
        }
        way = gap.help.direction if corrected <= LEVEL else 0
        yield (
            f"In {name} the student of weak labels {_verdict(plain)}, PGR "
            f"{plain.value:.2f}{_ends(plain.low, plain.high)}; {words[way]}, PGR "
            f"{confident.value:.2f}{_ends(confident.low, confident.high)}."
        )


def _verdict(ratio: SeedRatio) -> str:
    if ratio.low > 0:
        return "ends above its teacher"
    return "ends below its teacher" if ratio.high < 0 else "is not found above its teacher"


def _ends(low: float | None, high: float | None, decimals: int = 2) -> str:
    return "" if low is None or high is None else f" [{low:.{decimals}f}, {high:.{decimals}f}]"


def _score_table(name: str, gap: _Gap, start: float | None) -> ConclusionTable:
    columns = (ConclusionColumn(title="model"), ConclusionColumn(title=name))
    rows: list[tuple[str, Quantity]] = [("weak teacher", Quantity(value=gap.weak))]
    rows += [] if start is None else [("strong student at the start", Quantity(value=start))]
    rows += [
        (label.lower(), Quantity.of(mean_over_seeds(values)))
        for label, values in gap.values.items()
    ]
    return ConclusionTable(title=f"Scores: {name}", columns=columns, rows=tuple(rows))


def _recovered_table(found: Mapping[str, _Gap]) -> ConclusionTable:
    columns = (
        ConclusionColumn(title="measure"),
        ConclusionColumn(title="gap to the ceiling", signed=True),
        ConclusionColumn(title="PGR, weak labels", decimals=2),
        ConclusionColumn(title="PGR, with confidence", decimals=2),
    )
    rows = tuple(
        (
            name,
            Quantity.of(gap.gap),
            *(_ratio(gap.recovered[label]) for label in (_PLAIN, _CONFIDENT)),
        )
        for name, gap in found.items()
    )
    return ConclusionTable(title="Performance gap recovered", columns=columns, rows=rows)


def _ratio(ratio: SeedRatio | None) -> Quantity | str:
    if ratio is None:
        return "not defined"
    return Quantity(value=ratio.value, low=ratio.low, high=ratio.high, n=len(ratio.seeds))


def _help_table(found: Mapping[str, _Gap], p: Sequence[float]) -> ConclusionTable:
    columns = (
        ConclusionColumn(title="measure"),
        ConclusionColumn(title="with - without confidence, up is better", signed=True),
    )
    rows = tuple(
        (name, _difference(gap.help, corrected))
        for (name, gap), corrected in zip(found.items(), p, strict=True)
    )
    return ConclusionTable(title="What the confidence loss adds", columns=columns, rows=rows)


def _difference(found: SeedMean, p: float) -> Quantity:
    return Quantity.of(found, p=None if found.p is None else p)


def _panel(name: str, gap: _Gap) -> Panel:
    means = {label: mean_over_seeds(values) for label, values in gap.values.items()}
    curves = [PanelCurve(label="Weak teacher", x=(0.0,), y=(gap.weak,), joined=False)]
    for place, (label, found) in enumerate(means.items(), start=1):
        ends = {} if found.low is None else {"low": (found.low,), "high": (found.high,)}
        curves.append(
            PanelCurve(label=label, x=(float(place),), y=(found.value,), joined=False, **ends)
        )
    return Panel(title=name, x_label="condition", y_label=name, curves=tuple(curves))
