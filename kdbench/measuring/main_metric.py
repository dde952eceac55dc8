"""The metric of a result that tables and prints show first."""

from collections.abc import Mapping

from kdbench.store.results import MetricResult
from kdbench.task import NO_REFERENCES


def main_metric(results: Mapping[str, MetricResult], task_has_own: bool = False) -> str:
    """Return the first metric that the task names itself.

    Else it is ROUGE-L, with the tokenizer asked for if there is one, else the first metric. Without
    references it is the first metric with a number, of those with a better direction if there are
    any.

    Args:
        results: Results by metric, in order.
        task_has_own: Whether the task names metrics of its own.
    """
    names = list(results)
    own = [name for name in names if "," in name]
    if task_has_own and own:
        return own[0]
    chosen = [name for name in names if name.startswith("rougeL[")]
    main = next(iter(chosen), "rougeL" if "rougeL" in names else names[0])
    if results[main].reason != NO_REFERENCES:
        return main
    known = [name for name in names if results[name].value is not None]
    judged = [name for name in known if results[name].direction != "none"]
    return next(iter([*judged, *known]), main)
