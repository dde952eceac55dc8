"""Second family: how much of a table's ordering of methods another family of models keeps.

Question: methods were ordered on one teacher and student. Does another family order them alike?
Paper: none asks it of distillation methods with several training seeds in both; Kendall 1938 for τ
    (certainty M: from memory). The interval and the noise's ceiling are in
    `kdbench.stats.orderings`, with what is theirs and what is ours; differences of two methods are
    paired by training seed (Student's t, Holm over all pairs of a table).
Ours: the ceiling, that is, how far two tables of one true order would agree with this noise; and
    that pairs are also tested by one deviation for all rows (Fisher's protected difference without
    the protection, Holm over all pairs), since a t test over three seeds finds next to nothing
    among many pairs.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar

from pydantic import Field

from kdbench.analyses import Analysis, analyses
from kdbench.analyses.core.bench import AnalysisBench
from kdbench.analyses.seeded.in_both import InBoth, rows_in_both
from kdbench.analyses.seeded.orders import PairInBoth, PairsKept, kept_pairs
from kdbench.analyses.seeded.scores import RunsBySeed, runs_in
from kdbench.errors import InputError
from kdbench.store.conclusions import (
    Conclusion,
    ConclusionCell,
    ConclusionColumn,
    ConclusionTable,
    Panel,
    PanelCurve,
    Quantity,
)
from kdbench.text import counted

_LEVEL = 0.05
_TESTS = ("each pair by its own seeds", "one deviation for all rows")
_MOST_PAIRS = 40


@analyses.register("second_family")
class SecondFamily(Analysis, group="Second family"):
    """How much of a table's ordering the table of another family keeps; it trains nothing.

    Both tables are filled with several training seeds, and their rows have the same labels.
    """

    title: ClassVar[str] = "Second family"
    question: ClassVar[str] = "How much of an ordering of methods does a second family keep?"
    paper: ClassVar[str] = "ours, with Kendall's τ (1938)"
    basis: ClassVar[str] = "memory; textbook statistics"

    stored: Path | None = Field(
        None, description="Folder of results of a filled table with several training seeds"
    )
    other: Path | None = Field(
        None, description="Folder of results of the same methods on another family of models"
    )
    metric: str = Field("rougeL", description="Metric whose mean over tasks orders the methods")
    baseline: str = Field("SFT", description="Row over which gains are shown")

    def run(self, bench: AnalysisBench) -> Conclusion:  # noqa: ARG002 - nothing is trained
        """Read both folders, and compare their orders."""
        if self.stored is None or self.other is None:
            missing = "stored" if self.stored is None else "other"
            raise InputError(
                f"{missing}= is missing: name the results of two filled tables, as in "
                "stored=results/smollm2-135m other=results/gemma3-270m"
            )
        if self.stored.resolve() == self.other.resolve():
            raise InputError(f"other={self.other}: is the same folder as stored=; name another one")
        found = self.conclude_from(
            (runs_in(self.stored), runs_in(self.other, "other")), _names(self.stored, self.other)
        )
        settings = {"metric": self.metric, "baseline": self.baseline}  # others are of trainings
        return found.model_copy(update={"settings": settings})

    def conclude_from(
        self, runs: tuple[RunsBySeed, RunsBySeed], names: tuple[str, str]
    ) -> Conclusion:
        """What two tables show.

        Args:
            runs: Runs of both tables, by label and training seed.
            names: What the tables are called.

        Raises:
            InputError: They share too few rows, or not the baseline.
        """
        both = rows_in_both(runs, names, self.metric, self.baseline)
        first, second = (table.scores for table in both.tables)
        there = [kept_pairs(first, second, pooled) for pooled in (False, True)]
        back = [kept_pairs(second, first, pooled) for pooled in (False, True)]
        return self.conclude(
            *_order_sentences(both, self.metric),
            *_pair_sentences(there, names),
            tables=(
                _order_table(both),
                _row_table(both, self.baseline),
                _kept_table(there, back, names),
                *_pair_tables(both, there[1]),
            ),
            panels=(_panel(both, f"Gain over {self.baseline} in {self.metric}"),),
            notes=tuple(_notes(both, self.metric)),
        )


def _names(first: Path, second: Path) -> tuple[str, str]:
    """The folders' names; with what is above them if these are the same."""
    if first.name != second.name:
        return first.resolve().name, second.resolve().name
    return first.as_posix(), second.as_posix()


def _order_sentences(both: InBoth, metric: str) -> Iterator[str]:
    orders, (first, second) = both.orders, both.names
    tau = (
        f"Kendall's τ of {orders.methods} methods in {metric} is {orders.tau:.2f}, and that of "
        f"their true means within [{orders.low:.2f}, {orders.high:.2f}]"
    )
    ceiling = (
        f"two tables of one order with this noise have {orders.ceiling:.2f} "
        f"[{orders.ceiling_low:.2f}, {orders.ceiling_high:.2f}]"
    )
    if orders.p_same <= _LEVEL:
        yield (
            f"{second} orders the methods differently from {first} (p {orders.p_same:.2g}): {tau}, "
            f"where {ceiling}."
        )
    else:
        yield (
            f"No difference between the orders of {first} and {second} is seen beyond the noise of "
            f"training seeds (p {orders.p_same:.2g}): {tau}; {ceiling}."
        )
    if orders.p_unrelated > _LEVEL:
        either = " either" if orders.p_same > _LEVEL else ""
        shown = f"It is not shown{either} that the orders agree"
    else:
        shown = f"The orders {'agree' if orders.tau > 0 else 'oppose each other'} beyond chance"
    yield (
        f"{shown}: orders that have nothing to do with each other have a τ as far from 0 with "
        f"probability {orders.p_unrelated:.2g}."
    )


def _pair_sentences(kept: Sequence[PairsKept], names: tuple[str, str]) -> Iterator[str]:
    for pairs, test in zip(kept, _TESTS, strict=True):
        found = len(pairs.found)
        if found:
            yield (
                f"With {test}, the test finds {found} of {pairs.total} differences in {names[0]}. "
                f"In {names[1]} {counted(pairs.same_sign, 'of them has', 'of them have')} the same "
                f"sign, {counted(pairs.same, 'is', 'are')} significant too, and {pairs.opposite} "
                f"with the opposite sign."
            )
        else:
            yield f"With {test}, the test finds none of {pairs.total} differences in {names[0]}."


def _order_table(both: InBoth) -> ConclusionTable:
    orders = both.orders
    columns = (
        ConclusionColumn(title="of the two orders"),
        ConclusionColumn(title="value"),
        ConclusionColumn(title="meaning"),
    )
    observed = Quantity(value=orders.tau, low=orders.low, high=orders.high, p=orders.p_unrelated)
    ceiling = Quantity(
        value=orders.ceiling, low=orders.ceiling_low, high=orders.ceiling_high, p=orders.p_same
    )
    meaning = "share of the variance of its means that is between methods"
    rows: tuple[tuple[ConclusionCell, ...], ...] = (
        ("Kendall's τ", observed, "interval of true means; p that the orders are unrelated"),
        ("τ that noise leaves", ceiling, "range of tables of one order; p that these are such"),
        *(
            (f"reliability of {name}", Quantity(value=value), meaning)
            for name, value in zip(both.names, orders.reliability, strict=True)
        ),
    )
    return ConclusionTable(title="Do the orders agree?", columns=columns, rows=rows)


def _row_table(both: InBoth, baseline: str) -> ConclusionTable:
    columns = [ConclusionColumn(title="method")]
    for name in both.names:
        columns += [
            ConclusionColumn(title=f"{name}, rank"),
            ConclusionColumn(title=name, decimals=2),
            ConclusionColumn(title=f"gain over {baseline}", decimals=2, signed=True),
        ]
    rows = []
    for label, *gains in zip(both.labels, *both.gains, strict=True):
        cells: list[ConclusionCell] = [label]
        for row in gains:
            gain = None if label == baseline else Quantity.of(row.gain)
            cells += [str(row.rank), Quantity.of(row.mean), gain]
        rows.append((gains[0].rank, tuple(cells)))
    ordered = tuple(cells for _, cells in sorted(rows, key=lambda row: row[0]))
    return ConclusionTable(title="The methods in both", columns=tuple(columns), rows=ordered)


def _kept_table(
    there: Sequence[PairsKept], back: Sequence[PairsKept], names: tuple[str, str]
) -> ConclusionTable:
    titles = (
        *("pairs that differ in", "test", "significant", "same sign in the other"),
        *("significant there, same sign", "significant there, opposite sign"),
    )
    rows = tuple(
        (
            name,
            test,
            f"{len(pairs.found)} of {pairs.total}",
            *(str(count) for count in (pairs.same_sign, pairs.same, pairs.opposite)),
        )
        for name, kept in zip(names, (there, back), strict=True)
        for test, pairs in zip(_TESTS, kept, strict=True)
    )
    columns = tuple(ConclusionColumn(title=title) for title in titles)
    return ConclusionTable(title="What becomes of the differences", columns=columns, rows=rows)


def _pair_tables(both: InBoth, pairs: PairsKept) -> Iterator[ConclusionTable]:
    """The significant differences of the first table, the largest first; none without any."""
    if not pairs.found:
        return
    ranked = sorted(pairs.found, key=lambda pair: -abs(pair.first.value))
    sign = -1 if both.tables[0].lower else 1
    columns = (
        ConclusionColumn(title="pair"),
        *(ConclusionColumn(title=name, decimals=2, signed=True) for name in both.names),
        ConclusionColumn(title="there"),
    )
    shown = "" if len(ranked) <= _MOST_PAIRS else f": the {_MOST_PAIRS} largest of {len(ranked)}"
    yield ConclusionTable(
        title=f"Significant in {both.names[0]}, with {_TESTS[1]}{shown}",
        columns=columns,
        rows=tuple(_pair_row(both.labels, pair, sign) for pair in ranked[:_MOST_PAIRS]),
    )


def _pair_row(labels: Sequence[str], pair: PairInBoth, sign: int) -> tuple[ConclusionCell, ...]:
    """A pair, the method first that is better in the first table."""
    shown = pair if sign * pair.first.value > 0 else pair.turned()
    return (
        " - ".join(labels[place] for place in shown.places),
        Quantity.of(shown.first, p=shown.p_first),
        Quantity.of(shown.second, p=shown.p_second),
        shown.verdict,
    )


def _panel(both: InBoth, title: str) -> Panel:
    xs, ys = ([row.gain for row in gains] for gains in both.gains)
    points = PanelCurve(
        label="methods",
        x=tuple(x.value for x in xs),
        y=tuple(y.value for y in ys),
        joined=False,
        low=tuple(y.value if y.low is None else y.low for y in ys),
        high=tuple(y.value if y.high is None else y.high for y in ys),
        left=tuple(x.value if x.low is None else x.low for x in xs),
        right=tuple(x.value if x.high is None else x.high for x in xs),
        names=tuple(both.labels),
    )
    line = (min(points.x), max(points.x))
    return Panel(
        title=title,
        x_label=f"gain in {both.names[0]}",
        y_label=f"gain in {both.names[1]}",
        curves=(PanelCurve(label="equal gains", x=line, y=line), points),
    )


def _notes(both: InBoth, metric: str) -> Iterator[str]:
    named = list(zip(both.tables, both.names, strict=True))
    seeds = " and ".join(f"{len(table.seeds)} training seeds in {name}" for table, name in named)
    yield (
        f"{len(both.labels)} methods, paired by label: {seeds}; {metric}, mean over tasks. "
        "Intervals of means and gains are Student's at 95 % over training seeds."
    )
    yield (
        "The interval of τ and the range that noise leaves take one deviation for all rows of a "
        "table; rows may differ in it. They are about these methods and prompts, and say nothing "
        "about others, nor about further families."
    )
    yield (
        "Pairs are tested over training seeds, with Holm's correction over all pairs of a table. "
        "With few seeds a test of each pair by its own seeds finds next to nothing among many "
        "pairs; one deviation for all rows finds more, and errs where a row is less steady than "
        "the others. The pairs of a table share rows, so that their counts are no independent "
        "evidence."
    )
    if both.tables[0].names != both.tables[1].names:
        tasks = "; ".join(f"{name} {', '.join(table.names)}" for table, name in named)
        yield f"The tables have different tasks: {tasks}."
    for alone, name in zip(both.alone, both.names, strict=True):
        if alone:
            yield f"Only in {name}, and left out: {', '.join(alone)}."
    if both.lacking:
        yield f"Left out, with fewer training seeds than others: {', '.join(both.lacking)}."
