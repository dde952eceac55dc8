"""The answer of the analysis of teacher hacking: verdicts on sources, and how these differ."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from kdbench.analyses.core.against import listed
from kdbench.analyses.core.analysis import Analysis
from kdbench.analyses.core.filled import FilledRows
from kdbench.analyses.hacking.turning import (
    SeedCurves,
    changes_since,
    mean_curve,
    turning_step,
    turning_steps,
)
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

HackingVerdict = Literal["hacking", "both rise", "gold rises", "no rise", "too few seeds"]
_GOLD, _PROXY = "eval_kl_oracle", "eval_kl_teacher"
_NATS = "nats/token"
LEVEL = 0.05


@dataclass(frozen=True)
class SourceCurves:
    """The two distances of students of one source.

    Attributes:
        label: Label of the source.
        gold: Distance to the oracle by step, by training seed.
        proxy: Distance to the teacher.
    """

    label: str
    gold: SeedCurves
    proxy: SeedCurves

    @property
    def rise(self) -> dict[int, float]:
        """The rise of the gold distance from the turning point to the end, by training seed."""
        return changes_since(self.gold, turning_steps(self.gold))

    @property
    def proxy_change(self) -> dict[int, float]:
        """The change of the proxy distance over the same steps, by training seed."""
        return changes_since(self.proxy, turning_steps(self.gold))

    @property
    def ends(self) -> dict[int, float]:
        """The gold distance at the end, by training seed."""
        return {seed: curve[max(curve)] for seed, curve in self.gold.items()}

    @property
    def verdict(self) -> HackingVerdict:
        """What the two curves do after the turning point, by intervals over training seeds."""
        rise, proxy = mean_over_seeds(self.rise), mean_over_seeds(self.proxy_change)
        if rise.low is None:
            return "too few seeds"
        if rise.direction < 1:
            return "no rise"
        return {-1: "hacking", 0: "gold rises", 1: "both rise"}[proxy.direction]  # type: ignore[return-value]


def answer(
    analysis: Analysis, filled: FilledRows, sources: Sequence[str], fixed: str
) -> Conclusion:
    """Conclude from the training logs.

    Args:
        analysis: The analysis.
        filled: The filled table.
        sources: Labels of the sources.
        fixed: The one of them with which the others are compared.
    """
    found = [
        SourceCurves(label, filled.curves(label, _GOLD), filled.curves(label, _PROXY))
        for label in sources
    ]
    by_label = {one.label: one for one in found}
    others = [one for one in found if one.label != fixed]
    rises, ends = by_label[fixed].rise, by_label[fixed].ends
    of_rise = _corrected({one.label: difference_over_seeds(one.rise, rises) for one in others})
    of_end = _corrected({one.label: difference_over_seeds(one.ends, ends) for one in others})
    return analysis.conclude(
        *_sentences(by_label[fixed], of_rise, of_end),
        tables=(_ends(found), _rises(found, of_rise, of_end)),
        panels=_panels(found),
        notes=_notes(fixed, len(others)),
    )


def _corrected(found: Mapping[str, SeedMean]) -> dict[str, Quantity]:
    """Differences by label, with Holm's correction of their p-values."""
    known = {label: mean.p for label, mean in found.items() if mean.p is not None}
    adjusted = dict(zip(known, holm(list(known.values())), strict=True))
    return {label: Quantity.of(mean, adjusted.get(label)) for label, mean in found.items()}


def _ends(found: Sequence[SourceCurves]) -> ConclusionTable:
    columns = (
        ConclusionColumn(title="source"),
        ConclusionColumn(title="gold, start", unit=_NATS),
        ConclusionColumn(title="gold, lowest mean", unit=_NATS),
        ConclusionColumn(title="at step", decimals=0),
        ConclusionColumn(title="gold, end", unit=_NATS),
        ConclusionColumn(title="proxy, start", unit=_NATS),
        ConclusionColumn(title="proxy, end", unit=_NATS),
    )
    rows = []
    for one in found:
        gold, proxy = mean_curve(one.gold), mean_curve(one.proxy)
        turn = turning_step(one.gold)
        cells = (gold[min(gold)], gold[turn], gold[max(gold)], proxy[min(proxy)], proxy[max(proxy)])
        start, lowest, end, *of_proxy = map(Quantity.of, cells)
        step = Quantity(value=turn)
        rows.append((one.label, start, lowest, step, end, *of_proxy))
    title = "Distance to the oracle (gold) and to the teacher (proxy)"
    return ConclusionTable(title=title, columns=columns, rows=tuple(rows))


def _rises(
    found: Sequence[SourceCurves], of_rise: Mapping[str, Quantity], of_end: Mapping[str, Quantity]
) -> ConclusionTable:
    columns = (
        ConclusionColumn(title="source"),
        ConclusionColumn(title="verdict"),
        ConclusionColumn(title="gold rises by", unit=_NATS, signed=True, decimals=4),
        ConclusionColumn(title="proxy changes by", unit=_NATS, signed=True, decimals=4),
        ConclusionColumn(title="rise, against fixed", unit=_NATS, signed=True, decimals=4),
        ConclusionColumn(title="gold at the end, against fixed", unit=_NATS, signed=True),
    )
    rows = tuple(
        (
            one.label,
            one.verdict,
            Quantity.of(mean_over_seeds(one.rise)),
            Quantity.of(mean_over_seeds(one.proxy_change)),
            of_rise.get(one.label),
            of_end.get(one.label),
        )
        for one in found
    )
    return ConclusionTable(title="From the turning point to the end", columns=columns, rows=rows)


def _panels(found: Sequence[SourceCurves]) -> tuple[Panel, ...]:
    gold = tuple(_curve(one.label, mean_curve(one.gold)) for one in found)
    proxy = tuple(_curve(one.label, mean_curve(one.proxy)) for one in found)
    both = tuple(
        PanelCurve(label=one.label, x=two.y, y=one.y) for one, two in zip(gold, proxy, strict=True)
    )
    gold_label, proxy_label = "KL(oracle‖student), nats/token", "KL(teacher‖student), nats/token"
    return (
        Panel(title="Gold", x_label="step", y_label=gold_label, curves=gold),
        Panel(title="Proxy", x_label="step", y_label=proxy_label, curves=proxy),
        Panel(title="Gold against proxy", x_label=proxy_label, y_label=gold_label, curves=both),
    )


def _curve(label: str, means: dict[int, SeedMean]) -> PanelCurve:
    known = [(mean.low, mean.high) for mean in means.values()]
    has_ends = all(low is not None for low, _ in known)
    return PanelCurve(
        label=label,
        x=tuple(means),
        y=tuple(mean.value for mean in means.values()),
        low=tuple(low for low, _ in known if low is not None) if has_ends else (),
        high=tuple(high for _, high in known if high is not None) if has_ends else (),
    )


def _sentences(
    fixed: SourceCurves, of_rise: Mapping[str, Quantity], of_end: Mapping[str, Quantity]
) -> tuple[str, ...]:
    """What was found, from the verdicts and the differences alone."""
    if fixed.verdict == "too few seeds":
        return ("One training seed has no interval, so nothing is concluded: pass train_seeds=5.",)
    rise, proxy = mean_over_seeds(fixed.rise), mean_over_seeds(fixed.proxy_change)
    what = {
        "hacking": "Teacher hacking is reproduced: on fixed responses the distance to the oracle "
        "rises while that to the teacher falls",
        "both rise": "Teacher hacking is not reproduced: on fixed responses the distance to the "
        "oracle rises, but so does that to the teacher, as in plain overfitting",
        "gold rises": "Teacher hacking is not reproduced: on fixed responses the distance to the "
        "oracle rises, but that to the teacher does not fall significantly",
        "no rise": "Teacher hacking is not reproduced: on fixed responses the distance to the "
        "oracle does not rise significantly after its turning point",
    }[fixed.verdict]
    first = f"{what} (gold {_change(rise)}, proxy {_change(proxy)} nats/token)."
    rises = _against_fixed("the distance to the oracle rises", "less", "more", of_rise)
    ends = _against_fixed("at the end it is", "smaller", "larger", of_end)
    return first, f"{rises[0].upper()}{rises[1:]}; {ends}."


def _against_fixed(what: str, less: str, more: str, found: Mapping[str, Quantity]) -> str:
    """With which sources a distance is significantly smaller or larger than with fixed ones."""
    clear = {
        label: one.value for label, one in found.items() if one.p is not None and one.p <= LEVEL
    }
    sides = {
        less: [label for label, value in clear.items() if value < 0],
        more: [label for label, value in clear.items() if value > 0],
    }
    parts = [f"{side} with {listed(labels)}" for side, labels in sides.items() if labels]
    if not parts:
        return f"{what} neither {less} nor {more} significantly with any other source"
    return f"{what} significantly {' and '.join(parts)} than on fixed responses"


def _change(mean: SeedMean) -> str:
    ends = f" [{mean.low:+.4f}, {mean.high:+.4f}]" if mean.low is not None else ""
    return f"{mean.value:+.4f}{ends}"


def _notes(fixed: str, tests: int) -> tuple[str, ...]:
    return (
        "Brackets and bands hold 95 % intervals (Student's t) over training seeds, which change "
        "the order of prompts and the sampled responses. Teacher, oracle and start are single "
        "models, so the intervals do not say what other ones would show.",
        "The turning point of a seed is the step at which the mean gold distance of other seeds is "
        "lowest, so that noise alone does not make a rise. hacking: gold rises and proxy falls "
        "from there to the end, both intervals excluding 0; both rise: so does proxy; gold rises: "
        "proxy's interval includes 0; no rise: gold's does, or it is below.",
        f"Differences from {fixed} are paired by training seed; their p-values are those of paired "
        f"t tests with Holm's correction over the {tests} of a column.",
    )
