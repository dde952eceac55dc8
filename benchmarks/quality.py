"""Mean ROUGE-L of generated texts, and whether two means agree."""

from collections.abc import Mapping, Sequence

from kdbench.metrics import Answer
from kdbench.metrics.rouge import RougeL
from kdbench.protocol import postprocess
from kdbench.stats.estimates import Estimate, estimate
from kdbench.task import Document


def rouge_of(documents: Sequence[Document], texts: Mapping[str, Sequence[str]]) -> Estimate:
    """Mean ROUGE-L over documents and seeds.

    Args:
        documents: Documents with their references.
        texts: Texts by document id, one per seed.
    """
    metric = RougeL()
    seeds = range(len(next(iter(texts.values()))))
    return estimate(
        {
            seed: [
                metric.score(Answer(postprocess(texts[document.id][seed]), document.references))
                for document in documents
            ]
            for seed in seeds
        }
    )


def with_interval(estimate: Estimate) -> str:
    """An estimate as text, such as `12.24 [9.39, 14.88]`."""
    return f"{estimate.value:.2f} [{estimate.ci_low:.2f}, {estimate.ci_high:.2f}]"


def agree(first: Estimate, second: Estimate) -> bool:
    """Whether each mean lies in the other's interval."""
    return _inside(first, second) and _inside(second, first)


def _inside(mean: Estimate, interval: Estimate) -> bool:
    low, high = float(interval.ci_low or 0), float(interval.ci_high or 0)
    return low <= float(mean.value or 0) <= high
