"""ROUGE-L of kdbench compared with the `rouge-score` package with stemmer, in one process.

The benchmark measures (a) the largest difference over pairs of a document and a reference of
another document, and (b) the time to score the load of an evaluation: every document of the five
data sets with five responses, which are references of other documents. `rouge-score` runs as in the
papers' scripts, with one `score_multi` per response. With a cold stem cache, kdbench has stemmed no
word yet, as in a fresh process: the cache is replaced before each round, and modules are imported
beforehand. With a warm one, it has the stems of an earlier pass but reads references again.
"""

import random
from collections.abc import Sequence

from benchmarks.inputs import data_title, references
from benchmarks.report import BenchmarkRow, Outcome, target
from benchmarks.timing import in_turns
from kdbench.metrics import Answer, rouge

PAIRS = 5_000
SEEDS = 5
ROUNDS = 5
FASTER = 40

Pair = tuple[tuple[str, ...], str]


def run() -> Outcome:
    """Compare scores, then time with a cold and with a warm stem cache."""
    from rouge_score.rouge_scorer import RougeScorer

    scorer = RougeScorer(["rougeL"], use_stemmer=True)
    documents = references()

    def peer(pairs: Sequence[Pair]) -> list[float]:
        return [100 * scorer.score_multi(refs, text)["rougeL"].fmeasure for refs, text in pairs]

    def cold() -> list[float]:
        rouge._stem_ids = rouge._StemIds()
        return ours(load)

    pairs = _pairs(random.Random(1).choices(documents, k=PAIRS), documents)
    both = zip(peer(pairs), ours(pairs), strict=True)
    difference = max(abs(theirs - our_score) for theirs, our_score in both)
    load = _pairs([refs for refs in documents for _ in range(SEEDS)], documents)
    timed = in_turns({"peer": lambda: peer(load), "cold": cold, "warm": lambda: ours(load)}, ROUNDS)
    rows = [
        BenchmarkRow(
            f"largest difference over {PAIRS:,} pairs, points",
            "rouge-score",
            f"{difference}",
            target=target("0.0", difference == 0.0),
        )
    ]
    for name in ("cold", "warm"):
        ratio = timed.ratio("peer", name)
        rows.append(
            BenchmarkRow(
                f"{len(documents):,} documents × {SEEDS} seeds, {name} stem cache",
                f"{timed.median('peer'):.2f} s (rouge-score)",
                f"{timed.median(name):.3f} s",
                f"{ratio:.1f}",
                timed.spread("peer", name),
                target(f"≥ {FASTER}", ratio >= FASTER),
            )
        )
    return Outcome(data_title(), tuple(rows))


def ours(pairs: Sequence[Pair]) -> list[float]:
    """Scores of a new metric object, as each evaluation makes one."""
    metric = rouge.RougeL()
    return [metric.score(Answer(text, refs)) for refs, text in pairs]


def _pairs(chosen: Sequence[tuple[str, ...]], documents: Sequence[tuple[str, ...]]) -> list[Pair]:
    """References of the chosen documents, each with a reference of another document."""
    rng = random.Random(0)
    pairs = []
    for refs in chosen:
        other = rng.choice(documents)
        while other is refs:
            other = rng.choice(documents)
        pairs.append((refs, rng.choice(other)))
    return pairs
