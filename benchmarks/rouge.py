"""ROUGE-L of kdbench against the `rouge-score` package with stemmer, in one process.

Measured: (a) the greatest difference over pairs of references and other documents' references;
(b) the time of an evaluation's load: every document of the five sets, five responses each (seeds),
the responses being other documents' references. `rouge-score` runs as the papers' scripts run it,
`score_multi` for each response. Cold: kdbench has stemmed no word yet, as in a fresh process (its
stem cache is replaced before each round; modules are imported before). Warm: the stems of an
earlier pass are there; references are read anew.
"""

import random
from collections.abc import Sequence

from benchmarks.inputs import data_title, references
from benchmarks.report import Outcome, Row, target
from benchmarks.timing import in_turns
from kdbench.metrics import Answer, rouge

PAIRS = 5_000
SEEDS = 5
ROUNDS = 5
FASTER = 40

Pair = tuple[tuple[str, ...], str]


def run() -> Outcome:
    """Equality, then speed with cold and with warm stems."""
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
    difference = max(abs(theirs - mine) for theirs, mine in both)
    load = _pairs([one for one in documents for _ in range(SEEDS)], documents)
    timed = in_turns({"peer": lambda: peer(load), "cold": cold, "warm": lambda: ours(load)}, ROUNDS)
    rows = [
        Row(
            f"largest difference over {PAIRS:,} pairs, points",
            "rouge-score",
            f"{difference}",
            target=target("0.0", difference == 0.0),
        )
    ]
    for name in ("cold", "warm"):
        ratio = timed.ratio("peer", name)
        rows.append(
            Row(
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
    """A fresh metric, as each evaluation makes one."""
    metric = rouge.RougeL()
    return [metric.score(Answer(text, refs)) for refs, text in pairs]


def _pairs(chosen: Sequence[tuple[str, ...]], documents: Sequence[tuple[str, ...]]) -> list[Pair]:
    """The chosen documents' references, each with a reference of another document."""
    rng = random.Random(0)
    pairs = []
    for refs in chosen:
        other = rng.choice(documents)
        while other is refs:
            other = rng.choice(documents)
        pairs.append((refs, rng.choice(other)))
    return pairs
