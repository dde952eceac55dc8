"""How good the texts of two sides are: mean ROUGE-L, and whether they agree."""

from collections.abc import Mapping, Sequence

from kdbench.metrics import Answer
from kdbench.metrics.rouge import RougeL
from kdbench.protocol import postprocess
from kdbench.stats.estimates import Estimate, estimate
from kdbench.task import Document


def rouge_of(documents: Sequence[Document], texts: Mapping[str, Sequence[str]]) -> Estimate:
    """Mean ROUGE-L over documents and seeds.

    Args:
        documents: with their references.
        texts: of each document, by id: one a seed.
    """
    metric = RougeL()
    seeds = range(len(next(iter(texts.values()))))
    return estimate(
        {
            seed: [
                metric.score(Answer(postprocess(texts[one.id][seed]), one.references))
                for one in documents
            ]
            for seed in seeds
        }
    )


def in_words(one: Estimate) -> str:
    """`12.24 [9.39, 14.88]`."""
    return f"{one.value:.2f} [{one.ci_low:.2f}, {one.ci_high:.2f}]"


def agree(one: Estimate, other: Estimate) -> bool:
    """Whether each mean is inside the other's interval."""
    return _inside(one, other) and _inside(other, one)


def _inside(one: Estimate, other: Estimate) -> bool:
    return float(other.ci_low or 0) <= float(one.value or 0) <= float(other.ci_high or 0)
