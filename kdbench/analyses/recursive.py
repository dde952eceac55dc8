"""Recursive: students of students, with and without an anchor.

Question: does the KL to an anchor p_0 contract from generation to generation if each target is
    p_0^g q^(1-g), q the student before, and does it grow without an anchor?
Paper: recursive meta-distillation (arXiv 2601.13100; abstract and opening only, tags S and N). It
    gives a theory and no method; the operator is a choice of kdbench, as is its arithmetic form.
Theory: for small distances the KL shrinks by (1-g)² in a generation, for the geometric and the
    arithmetic mean alike. It says nothing of a student that cannot represent its target or is not
    trained to the end: it stops at a floor, which is fitted here.
Ours: all of the experiment. Contraction: generation 1 learns from the mixture of the anchor and the
    student at the start, each later one from the anchor and the one before, from whose weights it
    goes on. Chain: generation 1 learns from the anchor alone, each later one from the one before,
    and all begin from the same student. The distance is KL(p_0‖q) per token on p_0's own responses
    to the validation prompts.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from kdbench.analyses import Analysis, analyses
from kdbench.analyses.core.bench import AnalysisWorld
from kdbench.analyses.core.filled import FilledRows
from kdbench.analyses.seeded.curves import seed_curve
from kdbench.config.kinds import AtLeastOne
from kdbench.distillation.card import LOG
from kdbench.errors import InputError
from kdbench.stats.contraction import fit_contraction
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
from kdbench.system.files import LinesFile

_EFFECT = "last generation, with - without anchor"
_DISTANCE, _ANCHOR = "eval_kl_anchor", "anchor"
_STEPS, _LEVEL = 30, 0.05

Distances = Mapping[int, Mapping[int, float]]
"""Distance to the anchor by generation, 0 the start, by training seed."""


def _split(value: object) -> object:
    return value.split(",") if isinstance(value, str) else value


def _between(shares: tuple[float, ...]) -> tuple[float, ...]:
    if not shares or any(not 0 < share < 1 for share in shares) or len(set(shares)) < len(shares):
        raise ValueError("must be different numbers between 0 and 1")
    return shares


@analyses.register("recursive")
class Recursive(Analysis, group="Recursive"):
    """Whether an anchor makes the distance to it contract over generations, at which rate."""

    title: ClassVar[str] = "Recursive distillation"
    question: ClassVar[str] = (
        "Do students of students come nearer to an anchor, and drift away without one?"
    )
    paper: ClassVar[str] = "recursive meta-distillation 2026, arXiv 2601.13100"
    basis: ClassVar[str] = "abstract and opening; the operator is kdbench's"

    generations: int = Field(4, ge=2, le=20, description="Number of generations")
    generation_steps: AtLeastOne = Field(_STEPS, description="Optimiser steps of a generation")
    anchor_shares: Annotated[
        tuple[float, ...], BeforeValidator(_split), AfterValidator(_between)
    ] = Field((0.3, 0.5), description="g, shares of the anchor in the target")
    anchor_mean: Literal["geometric", "arithmetic"] = Field(
        "geometric", description="How anchor and last student are mixed"
    )

    def table(self, world: AnalysisWorld) -> Mapping[str, Any]:
        """Rows of both experiments.

        A contraction without an anchor is no row: each student would learn what it is already.
        """
        if self.steps is not None:
            raise InputError("steps=: generations have generation_steps=; leave steps= out")
        rows = [
            *(
                _row(_contraction(g), g, first_target="mixed", begin="last")
                for g in self.anchor_shares
            ),
            *(_row(_chain(g), g, begin="initial") for g in (0.0, self.anchor_shares[0])),
        ]
        return {
            "rows": rows,
            "train": {
                "method": "iterated",
                "target": "anchored",
                "truth_weight": 0,
                "generations": self.generations,
                "anchor_mean": self.anchor_mean,
                "anchor_model": world.teacher,
                "watch": {_ANCHOR: world.teacher},
                "steps": self.generations * self.generation_steps,
                "batch_size": 32,
                "learning_rate": 1e-3,
                "max_new_tokens": 64,
                "select": "last",
                "validation_limit": 50,
                "validation_samples": 1,
            },
            "evaluate": {"metrics": ["lm_loss"], "limit": 20, "seeds": [10]},
            "tasks": ["dolly"],
        }

    def answer(self, filled: FilledRows) -> Conclusion:
        """Distances by generation, fitted rates against the theory's, and the drift."""
        found = {
            label: {
                seed: distances(row.checkpoint, self.generations)
                for seed, row in filled.of(label).items()
            }
            for label in filled.labels
        }
        rates = {
            g: mean_over_seeds(
                {
                    seed: fit_contraction(list(by_generation.values())).rate
                    for seed, by_generation in found[_contraction(g)].items()
                }
            )
            for g in self.anchor_shares
        }
        chains, last = (_chain(0.0), _chain(self.anchor_shares[0])), self.generations
        compared = {f"{label}, last - first": _change(found[label], last) for label in chains} | {
            _EFFECT: difference_over_seeds(*(_at(found[label], last) for label in chains[::-1]))
        }
        return self.conclude(
            *_sentences(rates, compared, self.anchor_shares[0], last),
            tables=(
                _distance_table(found, self.generations),
                _rate_table(rates),
                _drift_table(compared),
            ),
            panels=tuple(self._panels(found)),
            notes=(
                "Brackets hold 95 % intervals over training seeds; the p-values of the drift are "
                "Holm's. The start is one checkpoint, so its distance has no interval.",
                "Rates are fitted with a floor, d_n = c + (d_0 - c) r^n: a student does not reach "
                "an anchor that it cannot represent. The theory's rate is that of small distances "
                "and of students that fit their target.",
            ),
        )

    def _panels(self, found: Mapping[str, Distances]) -> Iterator[Panel]:
        axes = {"x_label": "generation", "y_label": "KL to the anchor (nats per token)"}
        curves = []
        for share in self.anchor_shares:
            label = _contraction(share)
            curve = seed_curve(label, found[label])
            theory = tuple(curve.y[0] * (1 - share) ** (2 * n) for n in range(len(curve.x)))
            curves += [curve, PanelCurve(label=f"theory, g {share:g}", x=curve.x, y=theory)]
        yield Panel(title="Contraction", curves=tuple(curves), log_y=True, **axes)
        labels = [_chain(0.0), _chain(self.anchor_shares[0])]
        later = {
            label: {
                seed: {n: value for n, value in values.items() if n}
                for seed, values in found[label].items()
            }
            for label in labels
        }
        yield Panel(
            title="Chain of students",
            curves=tuple(seed_curve(label, later[label]) for label in labels),
            **axes,
        )


def distances(checkpoint: Path, generations: int) -> dict[int, float]:
    """The distance to the anchor at the start (0) and after each generation.

    A stage logs it at its start and at its end.

    Args:
        checkpoint: Folder of the trained student, with its log.
        generations: Number of generations.

    Raises:
        InputError: The log lacks a generation.
    """
    file = LinesFile(checkpoint / LOG)
    lines = [line for line in file.read() if _DISTANCE in line]
    found = {0: float(lines[0][_DISTANCE])} if lines else {}
    for number in range(1, generations + 1):
        own = [line for line in lines if line.get("stage") == f"generation {number}"]
        if own:
            found[number] = float(own[-1][_DISTANCE])
    if len(found) < generations + 1:
        raise InputError(
            f"{file.path}: has no distance to the anchor after each of {generations} generations; "
            "delete the checkpoint's folder and its results, and run the same command again"
        )
    return found


def _contraction(share: float) -> str:
    return f"contraction g {share:g}"


def _chain(share: float) -> str:
    return f"chain g {share:g}"


def _row(label: str, share: float, **keys: str) -> dict[str, Any]:
    return {"label": label, "train": {"anchor_share": share, **keys}}


def _at(found: Distances, generation: int) -> dict[int, float]:
    return {seed: values[generation] for seed, values in found.items()}


def _change(found: Distances, generations: int) -> SeedMean:
    """The distance of the last generation less that of the first, paired by seed."""
    return difference_over_seeds(_at(found, generations), _at(found, 1))


def _sentences(
    rates: Mapping[float, SeedMean], compared: Mapping[str, SeedMean], share: float, last: int
) -> Iterator[str]:
    drift, effect = next(iter(compared.values())), compared[_EFFECT]
    p = _corrected(compared)
    way = {name: compared[name].direction if p[name] <= _LEVEL else 0 for name in p}
    drifts, affects = way.get(next(iter(compared)), 0), way.get(_EFFECT, 0)
    parts = []
    for g, rate in rates.items():
        theory = (1 - g) ** 2
        low, high = rate.low, rate.high
        fits = low is not None and high is not None and low <= theory <= high
        verdict = "as" if fits else ("slower than" if rate.value > theory else "faster than")
        if low is None:  # one training seed, which tells it from nothing
            verdict = "beside"
        if fits and high is not None and high >= 1:
            verdict = "told neither from none nor from"
        parts.append(
            f"with g {g:g} by {rate.value:.2f}{_ends(rate)} in a generation, {verdict} the "
            f"theory's {theory:.2f}"
        )
    contracts = all(rate.high is not None and rate.high < 1 for rate in rates.values())
    yield (
        f"The distance to the anchor {'contracts' if contracts else 'is not seen to contract'}: "
        f"{'; '.join(parts)}."
    )
    words = {
        1: "it grows",
        0: "no drift is seen",
        -1: "it shrinks",
    }
    effects = {1: "farther from", 0: "not told nearer to", -1: "nearer to"}
    yield (
        f"Without an anchor, from generation 1 to {last}, {words[drifts]} "
        f"({drift.value:+.3f}{_ends(drift, 3)} nats); with g {share:g} the last student is "
        f"{effects[affects]} the anchor ({effect.value:+.3f}{_ends(effect, 3)} nats)"
        + ("." if affects else ", no difference seen.")
    )


def _ends(found: SeedMean, decimals: int = 2) -> str:
    if found.low is None or found.high is None:
        return ""
    return f" [{found.low:.{decimals}f}, {found.high:.{decimals}f}]"


def _distance_table(found: Mapping[str, Distances], generations: int) -> ConclusionTable:
    columns = (
        ConclusionColumn(title="row"),
        ConclusionColumn(title="start", unit="nats"),
        *(ConclusionColumn(title=f"{n}", unit="nats") for n in range(1, generations + 1)),
    )
    rows = []
    for label, values in found.items():
        means = [mean_over_seeds(_at(values, n)) for n in range(generations + 1)]
        rows.append((label, Quantity(value=means[0].value), *map(Quantity.of, means[1:])))
    title = "KL to the anchor by generation"
    return ConclusionTable(title=title, columns=columns, rows=tuple(rows))


def _rate_table(rates: Mapping[float, SeedMean]) -> ConclusionTable:
    columns = (
        ConclusionColumn(title="share of the anchor"),
        ConclusionColumn(title="fitted rate"),
        ConclusionColumn(title="theory"),
    )
    rows = tuple(
        (f"{g:g}", Quantity.of(rate), Quantity(value=(1 - g) ** 2)) for g, rate in rates.items()
    )
    return ConclusionTable(title="Contraction in a generation", columns=columns, rows=rows)


def _drift_table(compared: Mapping[str, SeedMean]) -> ConclusionTable:
    corrected = _corrected(compared)
    columns = (
        ConclusionColumn(title="comparison"),
        ConclusionColumn(title="difference of KL", unit="nats", signed=True),
    )
    rows = tuple(
        (name, Quantity.of(found, p=corrected.get(name))) for name, found in compared.items()
    )
    return ConclusionTable(title="Drift of the chain", columns=columns, rows=rows)


def _corrected(compared: Mapping[str, SeedMean]) -> dict[str, float]:
    """Holm's p-values of the comparisons that have one."""
    known = {name: found.p for name, found in compared.items() if found.p is not None}
    return dict(zip(known, holm(list(known.values())), strict=True))
