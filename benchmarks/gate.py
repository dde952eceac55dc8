"""Simulation of the gate: false alarms where nothing changed, and power where something did.

A simulated score is the sum of a prompt effect, an interaction of prompt and checkpoint, and
sampling noise, with standard deviations of 18, 6 and 12 ROUGE points. Each trial computes the rows
and verdicts of `kdbench compare`. The peers are the normal theory of the paired test, and the
unpaired z-test that other harnesses offer. The benchmark also draws `benchmarks/gate.svg`.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from math import sqrt
from pathlib import Path
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

from benchmarks import gate_skew
from benchmarks.gate_skew import ALPHA, TRIALS, percent
from benchmarks.report import BenchmarkRow, Outcome, half_width, target
from kdbench.comparing.comparison import compare_runs
from kdbench.comparing.model import RowTestMethod
from kdbench.comparing.scores import ComparedRun, PromptScores, TaskScores
from kdbench.comparing.tolerance import Tolerance
from kdbench.comparing.verdict import Rules, Verdict
from kdbench.config import FIVE
from kdbench.stats.bootstrap import average_interval
from kdbench.stats.paired import sign_flips
from kdbench.system.files import put_bytes

if TYPE_CHECKING:
    from kdbench.reports.style import Picture

PROMPT, INTERACTION, NOISE = 18.0, 6.0, 12.0  # standard deviations, points
SIZES = tuple((n, seeds) for n in (50, 250, 500) for seeds in (1, 5))
DROP = 1.5
CURVE = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0)
CURVE_PROMPTS = 250
FIGURE = Path(__file__).parent / "gate.svg"
_NORMAL = NormalDist()


def run() -> Outcome:
    """Measure false alarms, power, coverage and time, and draw the figure."""
    rows = (*_false_alarms(), _family(), *_power(), *_coverage(), _speed())
    put_bytes(FIGURE, draw().svg)
    return Outcome(f"simulated scores, {TRIALS:,} trials, alpha {ALPHA:g}", rows)


def scores(rng: np.random.Generator, n: int, seeds: int, drop: float) -> tuple[np.ndarray, ...]:
    """Means per prompt of the base and the new checkpoint, shape (n,) each.

    Args:
        rng: Random generator.
        n: Number of prompts.
        seeds: Number of seeds.
        drop: True loss of the new checkpoint in points.
    """
    prompts = rng.normal(30, PROMPT, n)
    base, new = (
        prompts + rng.normal(0, INTERACTION, n) + rng.normal(0, NOISE, (seeds, n)).mean(axis=0)
        for _ in range(2)
    )
    return base, new - drop


def verdicts(tasks: Mapping[str, tuple[np.ndarray, ...]]) -> list[Verdict]:
    """The verdicts of all rows at tolerance 0.

    Args:
        tasks: Means per prompt of the base and the new checkpoint, by task.
    """
    return gate_skew.results(tasks, tolerance=0.0)[1]


@cache
def rates(n: int, seeds: int, drop: float) -> tuple[float, float, float]:
    """Shares of trials judged regressed, improved, and worse by the unpaired z-test."""
    rng = np.random.default_rng([n, seeds, round(100 * drop)])
    regressed = improved = unpaired = 0
    for _ in range(TRIALS):
        base, new = scores(rng, n, seeds, drop)
        (verdict,) = verdicts({"task": (base, new)})
        regressed += verdict == "regressed"
        improved += verdict == "improved"
        deviation = sqrt((base.var(ddof=1) + new.var(ddof=1)) / n)
        unpaired += (new.mean() - base.mean()) / deviation < _NORMAL.inv_cdf(ALPHA / 2)
    return regressed / TRIALS, improved / TRIALS, unpaired / TRIALS


def theory(n: int, seeds: int, drop: float) -> float:
    """Power of the paired z-test to call a drop worse."""
    deviation = sqrt((2 * INTERACTION**2 + 2 * NOISE**2 / seeds) / n)
    return _NORMAL.cdf(drop / deviation + _NORMAL.inv_cdf(ALPHA / 2))


def _false_alarms() -> Iterator[BenchmarkRow]:
    for n, seeds in SIZES:
        regressed, improved, unpaired = rates(n, seeds, 0.0)
        for what, rate, peer, limit in (
            ("regressed", regressed, f"unpaired z-test {percent(unpaired)}", ALPHA / 2),
            ("worse or improved", regressed + improved, "", ALPHA),
        ):
            yield BenchmarkRow(
                f"false alarms, {n} prompts, {_seeds(seeds)}: {what}",
                peer,
                percent(rate),
                target=target(
                    f"≤ {100 * limit:g} % within its error",
                    rate - half_width(rate, TRIALS) <= limit,
                ),
            )


def _family() -> BenchmarkRow:
    rng = np.random.default_rng(6)
    alarms = 0
    for _ in range(TRIALS):
        judged = verdicts({task: scores(rng, 250, 5, 0.0) for task in FIVE})
        alarms += "regressed" in judged
    rate = alarms / TRIALS
    return BenchmarkRow(
        "false alarms, 5 tasks × 250 prompts and AVG, 5 seeds: any row regressed",
        "",
        percent(rate),
        target=target(
            f"≤ {50 * ALPHA:g} % within its error", rate - half_width(rate, TRIALS) <= ALPHA / 2
        ),
    )


def _power() -> Iterator[BenchmarkRow]:
    for n, seeds in SIZES:
        regressed, _, unpaired = rates(n, seeds, DROP)
        expected = theory(n, seeds, DROP)
        yield BenchmarkRow(
            f"power, drop of {DROP:g}, {n} prompts, {_seeds(seeds)}",
            f"theory {100 * expected:.1f} %; unpaired z-test {percent(unpaired)}",
            percent(regressed),
            target=target("theory within 3 points", abs(regressed - expected) <= 0.03),
        )


def _coverage() -> Iterator[BenchmarkRow]:
    """How often 95 % intervals miss the truth, by bootstrap and by sign flips."""
    shapes = {
        "symmetric": lambda rng, n: rng.normal(0, 1, n),
        "skewed (exponential)": lambda rng, n: rng.exponential(1, n) - 1,
    }
    for shape, draw in shapes.items():
        for n in (20, 50, 250):
            rng = np.random.default_rng(n)
            missed = np.zeros(2)
            for _ in range(TRIALS):
                differences = draw(rng, n)
                for method, (low, high) in enumerate(
                    (
                        average_interval({"": differences}, ALPHA, 2000),
                        sign_flips(differences, resamples=2000).interval(ALPHA),
                    )
                ):
                    missed[method] += not low <= 0 <= high
            peer, ours = missed / TRIALS
            yield BenchmarkRow(
                f"95 % interval misses the truth, {shape} differences, {n} prompts",
                f"percentile bootstrap {percent(peer)}",
                percent(ours),
            )


def _speed() -> BenchmarkRow:
    rng = np.random.default_rng(7)
    drawn = {task: scores(rng, 2000, 5, 1.0) for task in FIVE}
    base, new = (_run(name, index, drawn) for index, name in enumerate(("base", "new")))
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        compare_runs(base, new, {"rougeL": Tolerance(0.5)}, Rules(), RowTestMethod())
        seconds.append(time.perf_counter() - start)
    median = sorted(seconds)[2]
    return BenchmarkRow(
        "comparison of 5 tasks × 2,000 prompts and AVG",
        "",
        f"{median:.2f} s",
        spread=f"{min(seconds):.2f}–{max(seconds):.2f} s, 5 rounds",
        target=target("< 1 s", median < 1),
    )


def _run(name: str, index: int, drawn: Mapping[str, Sequence[np.ndarray]]) -> ComparedRun:
    tasks = {
        task: TaskScores(
            {"task": task},
            tuple(f"{task}-{row}" for row in range(len(both[index]))),
            {"rougeL": PromptScores(both[index], "points", "higher", "1")},
        )
        for task, both in drawn.items()
    }
    return ComparedRun(name, name, None, "complete", None, tasks)


def _seeds(count: int) -> str:
    return f"{count} seed{'s' * (count > 1)}"


def draw() -> "Picture":
    """Draw false alarms by number of prompts and power by true drop."""
    from kdbench.reports.panels import panels
    from kdbench.reports.style import COLOURS, DASHES, GREY, drawing, picture

    with drawing():
        figure, (alarms, power) = panels(2, columns=2, height=3.4)
        for seeds, colour, marker in ((1, COLOURS[1], "s"), (5, COLOURS[0], "o")):
            sizes = sorted({n for n, _ in SIZES})
            alarm_rates = [100 * rates(n, seeds, 0.0)[0] for n in sizes]
            errors = [100 * half_width(rate / 100, TRIALS) for rate in alarm_rates]
            x = np.arange(len(sizes)) + (0.06 if seeds == 5 else -0.06)
            alarms.errorbar(
                x, alarm_rates, errors, color=colour, fmt=marker, capsize=3, label=_seeds(seeds)
            )
            fine = np.linspace(0, max(CURVE), 100)
            power.plot(
                fine,
                [100 * theory(CURVE_PROMPTS, seeds, drop) for drop in fine],
                color=colour,
                linewidth=1,
            )
            paired = [100 * rates(CURVE_PROMPTS, seeds, drop)[0] for drop in CURVE]
            power.plot(CURVE, paired, color=colour, marker=marker, linestyle="none")
            unpaired = [100 * rates(CURVE_PROMPTS, seeds, drop)[2] for drop in CURVE]
            power.plot(CURVE, unpaired, color=colour, linestyle=DASHES[1], linewidth=1)
        alarms.axhline(100 * ALPHA / 2, color=GREY, linestyle=DASHES[2])
        alarms.annotate("α / 2", (2.3, 100 * ALPHA / 2), va="bottom", color=GREY)
        alarms.set_xticks(range(3), [str(n) for n, seeds in SIZES if seeds == 1])
        alarms.set(xlabel="prompts", ylabel="% of trials called regressed", ylim=(0, 5))
        alarms.set(xlim=(-0.4, 2.7), title="Nothing changed")
        alarms.legend(loc="lower right")
        power.set(xlabel="true drop, points", ylim=(0, 103))
        power.set_title(f"Power, {CURVE_PROMPTS} prompts")
        power.plot([], [], color=GREY, marker="o", linestyle="none", label="kdbench")
        power.plot([], [], color=GREY, linewidth=1, label="theory, paired")
        power.plot([], [], color=GREY, linestyle=DASHES[1], linewidth=1, label="unpaired z-test")
        power.legend(loc="upper left")
        return picture(figure)
