"""Seeds: how much of a ranking of methods is noise.

Question: one training per method gives a ranking. How much of it would another training seed keep?
Paper: none asks it of distillation methods; Bouthillier et al. 2021 (arXiv 2103.03098) of machine
    learning in general (certainty M: from memory). The statistics are textbook ones, named in
    `kdbench.stats.ranking`: two-way analysis of variance with random effects (Scheffé 1959), the
    intraclass correlation with its exact interval (McGraw and Wong 1996), Kendall's τ, and the
    noncentral t for the number of seeds.
Ours: which of them stand for "share of the ranking that survives", and that each seed is compared
    with the mean of the other seeds rather than of all.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from kdbench.analyses import Analysis, analyses
from kdbench.analyses.core.bench import AnalysisBench, AnalysisWorld
from kdbench.analyses.seeded.scores import (
    RankedScores,
    RunsBySeed,
    check_rows_differ,
    runs_in,
    runs_of_table,
    seed_scores,
    with_labels,
)
from kdbench.config import Names
from kdbench.stats.over_seeds import SeedMean, difference_over_seeds, mean_over_seeds
from kdbench.stats.paired import holm
from kdbench.stats.ranking import (
    MOST_SEEDS,
    RankingNoise,
    agreement,
    detectable_gap,
    flip_probability,
    flips_seen,
    ranking_noise,
    seeds_to_separate,
)
from kdbench.store.conclusions import (
    Conclusion,
    ConclusionCell,
    ConclusionColumn,
    ConclusionTable,
    Panel,
    PanelCurve,
    Quantity,
)

if TYPE_CHECKING:
    import numpy as np

_LIKELY = 0.2
"""A probability of a flip from which on neighbours count as unsettled."""


@analyses.register("seeds")
class RankingBySeeds(Analysis, group="Seeds"):
    """How much of a ranking is noise: of a filled table, or of a small one that it fills.

    With stored= it reads the results of any table with several training seeds, and trains nothing.
    """

    title: ClassVar[str] = "Seeds"
    question: ClassVar[str] = "How much of a ranking of methods is noise of the training seed?"
    paper: ClassVar[str] = "after Bouthillier et al. 2021, arXiv 2103.03098"
    basis: ClassVar[str] = "memory; textbook statistics"

    stored: Path | None = Field(
        None,
        description="Folder of results of a filled table with several training seeds, to read "
        "instead of training",
    )
    rows: Names = Field(
        (), description="Rows of the stored results to rank, by label (default: all)"
    )
    metric: str = Field("rougeL", description="Metric whose mean over tasks ranks the methods")
    methods: Names = Field(
        ("sft", "kd", "gkd", "distillm"), min_length=2, description="Methods to train and to rank"
    )

    def table(self, world: AnalysisWorld) -> Mapping[str, Any]:  # noqa: ARG002
        """A row for each method."""
        return {
            "rows": [{"label": name, "train": {"method": name}} for name in self.methods],
            "train": {
                "steps": 60,
                "batch_size": 32,
                "learning_rate": 1e-3,
                "max_new_tokens": 64,
                "select": "last",
                "validation_limit": 20,
            },
            "evaluate": {"metrics": [self.metric], "limit": 100},
        }

    def run(self, bench: AnalysisBench) -> Conclusion:
        """Read the stored results, or fill the table; then split the variance."""
        if self.stored is not None:
            runs = with_labels(runs_in(self.stored), self.rows, str(self.stored))
            answer = self._answer(runs, str(self.stored))
            settings = {"metric": self.metric}  # others are of the training
            if self.rows:
                settings["rows"] = ",".join(self.rows)
            return answer.model_copy(update={"settings": settings})
        runs = runs_of_table(bench.fill(self.table(bench.world)))
        return self._answer(runs, "the table")

    def _answer(self, runs: RunsBySeed, place: str) -> Conclusion:
        found = seed_scores(runs, self.metric, place)
        check_rows_differ(found, self.metric, place)
        return self._conclude(found)

    def _conclude(self, found: RankedScores) -> Conclusion:
        noise = ranking_noise(found.scores, found.tasks)
        means = found.scores.mean(axis=1)
        order = (means if found.lower else -means).argsort()
        labels, scores = [found.labels[place] for place in order], found.scores[order]
        pairs = _pairs(labels, scores, noise)
        tau = _clipped(mean_over_seeds(dict(zip(found.seeds, agreement(scores), strict=True))))
        left_out = [f"Left out, with fewer training seeds: {', '.join(found.left_out)}."]
        return self.conclude(
            *_sentences(noise, pairs, tau, len(found.seeds), self.metric),
            tables=(_variance_table(noise), _agreement_table(tau, noise), _pair_table(pairs)),
            panels=tuple(_panels(found.seeds, scores, pairs)),
            notes=(
                f"{len(labels)} rows with {len(found.seeds)} training seeds each: {self.metric}, "
                "mean over tasks. Intervals of 95 %; p-values of neighbours are Holm's.",
                "Neighbours are chosen by the scores that are tested, so their gaps look larger "
                "than they are. The probability of a flip and the number of seeds take one "
                "deviation for all rows, 'training seed, by method'; rows may differ in it.",
                "Each seed is compared with the mean of the other seeds; these comparisons share "
                "seeds, so the interval of τ is approximate.",
                *(left_out if found.left_out else ()),
                *([] if self.stored is None else [f"Read from the results '{self.stored.name}'."]),
            ),
        )


class _Pair:
    """Two neighbours of the ranking, the better one first."""

    def __init__(self, labels: Sequence[str], scores: "np.ndarray", noise: RankingNoise):
        seeds = range(scores.shape[1])
        self.label = " - ".join(labels)
        self.gap = difference_over_seeds(*(dict(zip(seeds, row, strict=True)) for row in scores))
        self.flip = flip_probability(self.gap.value, noise.rest, len(seeds), noise.freedom)
        self.flips, self.seeds = flips_seen(*scores), len(seeds)
        self.needed = seeds_to_separate(self.gap.value, noise.rest)


def _pairs(labels: Sequence[str], scores: "np.ndarray", noise: RankingNoise) -> list[_Pair]:
    return [
        _Pair(labels[place : place + 2], scores[place : place + 2], noise)
        for place in range(len(labels) - 1)
    ]


def _clipped(tau: SeedMean) -> SeedMean:
    """A mean of correlations, whose interval does not leave their scale."""
    if tau.low is None or tau.high is None:
        return tau
    return SeedMean(tau.value, max(-1.0, tau.low), min(1.0, tau.high), tau.p, tau.seeds)


def _sentences(
    noise: RankingNoise, pairs: Sequence[_Pair], tau: SeedMean, seeds: int, metric: str
) -> Iterator[str]:
    low, high = noise.share_interval
    share = f"{100 * noise.share:.0f} % [{100 * low:.0f}, {100 * high:.0f}]"
    if low > 0:
        yield (
            f"Of the variance between rows that were trained with one seed, {share} is between "
            "methods, and the rest is noise."
        )
    else:
        yield (
            f"No difference between the methods is seen: {share} of the variance between rows that "
            f"were trained with one seed is between methods (F test p {noise.p:.2g})."
        )
    unsettled = sum(pair.flip > _LIKELY for pair in pairs)
    yield (
        f"Another training seed swaps {unsettled} of {len(pairs)} pairs of neighbours with a "
        f"probability above {_LIKELY:g}; a ranking by one seed agrees with that of the other seeds "
        f"by Kendall's τ {tau.value:.2f}{_ends(tau)}. {seeds} training seeds find a difference of "
        f"{detectable_gap(noise.rest, seeds):.2f} in {metric} with a probability of 80 %."
    )


def _ends(found: SeedMean) -> str:
    if found.low is None or found.high is None:
        return ""
    return f" [{found.low:.2f}, {found.high:.2f}]"


def _variance_table(noise: RankingNoise) -> ConclusionTable:
    columns = (
        ConclusionColumn(title="source"),
        ConclusionColumn(title="standard deviation", decimals=3),
        ConclusionColumn(title="what it does"),
    )
    low, high = noise.rest_interval
    rest = Quantity(value=noise.rest, low=low, high=high)
    rows: list[tuple[ConclusionCell, ...]] = [
        ("methods", Quantity(value=noise.methods), "is the ranking"),
        ("training seed, alike for all", Quantity(value=noise.seeds), "moves no ranking"),
        ("training seed, by method", rest, "moves the ranking"),
    ]
    if noise.chance is not None and noise.prompts is not None:
        training, chance = Quantity(value=noise.training), Quantity(value=noise.chance)
        rows += [
            ("of it the training", training, "more training seeds"),
            ("of it the chance in responses", chance, "more sampling seeds or prompts"),
            ("prompts, by method", Quantity(value=noise.prompts), "other prompts move the ranking"),
        ]
    title = "What a score of one training seed varies with"
    return ConclusionTable(title=title, columns=columns, rows=tuple(rows))


def _agreement_table(tau: SeedMean, noise: RankingNoise) -> ConclusionTable:
    low, high = noise.share_interval
    columns = (ConclusionColumn(title="of a ranking by one seed"), ConclusionColumn(title="value"))
    rows = (
        ("share that is between methods", Quantity(value=noise.share, low=low, high=high)),
        ("Kendall's τ with the other seeds", Quantity.of(tau)),
    )
    return ConclusionTable(title="What survives another training seed", columns=columns, rows=rows)


def _pair_table(pairs: Sequence[_Pair]) -> ConclusionTable:
    columns = (
        ConclusionColumn(title="neighbours"),
        ConclusionColumn(title="gap", decimals=2, signed=True),
        ConclusionColumn(title="probability of a flip", decimals=2),
        ConclusionColumn(title="flips seen"),
        ConclusionColumn(title="seeds for 80 % power"),
    )
    corrected = holm([1.0 if pair.gap.p is None else pair.gap.p for pair in pairs])
    rows = tuple(
        (
            pair.label,
            Quantity.of(pair.gap, p=p),
            Quantity(value=pair.flip),
            f"{pair.flips} of {pair.seeds}",
            f"more than {MOST_SEEDS}" if pair.needed is None else str(pair.needed),
        )
        for pair, p in zip(pairs, corrected, strict=True)
    )
    return ConclusionTable(title="Neighbours in the ranking", columns=columns, rows=rows)


def _panels(seeds: Sequence[int], scores: "np.ndarray", pairs: Sequence[_Pair]) -> Iterator[Panel]:
    places = tuple(range(1, len(scores) + 1))
    curves = [
        PanelCurve(label=f"seed {seed}", x=places, y=tuple(column))
        for seed, column in zip(seeds, scores.T, strict=True)
    ]
    mean = PanelCurve(label="mean over seeds", x=places, y=tuple(scores.mean(axis=1)))
    yield Panel(
        title="A ranking by each seed",
        x_label="rank by the mean over seeds",
        y_label="score",
        curves=(mean, *curves),
    )
    yield Panel(
        title="Neighbours",
        x_label="rank of the better one",
        y_label="probability that another seed swaps them",
        curves=(
            PanelCurve(
                label="probability of a flip", x=places[:-1], y=tuple(p.flip for p in pairs)
            ),
        ),
    )
