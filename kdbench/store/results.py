"""`<task>.json`: the result of one task."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kdbench.errors import InputError
from kdbench.stats.estimates import Estimate
from kdbench.system.files import SCHEMA, read_json


@dataclass(frozen=True)
class MetricResult(Estimate):
    """One metric of one task: an estimate, what it is, and why it may be missing.

    Attributes:
        unit: of the numbers.
        direction: which way is better.
        version: of the metric.
        reason: why there is no number.
        micro: of a token metric: the mean over all tokens, where `value` is that over prompts.
        bound: `lower` or `upper` where the value is a bound of the true one.
        ceiling: what the teacher reaches against itself.
        floor: what the undistilled student reaches.
    """

    unit: str
    direction: str
    version: str
    reason: str | None = None
    micro: float | None = None
    bound: str | None = None
    ceiling: float | None = None
    floor: float | None = None

    @property
    def attained(self) -> float | None:
        """The share of the way from floor to ceiling.

        None where an end is not known, or where the way is no longer than the value's interval:
        the share would be noise.
        """
        if self.value is None or self.floor is None or self.ceiling is None:
            return None
        way = self.ceiling - self.floor
        wide = 0.0 if self.ci_low is None or self.ci_high is None else self.ci_high - self.ci_low
        return (self.value - self.floor) / way if abs(way) > wide else None


@dataclass(frozen=True)
class TaskResult:
    """`<task>.json`.

    Attributes:
        fingerprint: what must be equal before two runs compare.
        metrics: by name.
        documents: `id`, and each metric's per-document means, in document order.
        data: rows, used, sha256, published.
        cut_prompts: prompts that the protocol's limit cut; None if not known.
        main_metric: the one that tables show.
        teacher: whom the metrics of fidelity compare with: name, sha256 and so on.
        curves: metrics by token index, `name@set`: the first index of each bucket and the first
            beyond it, the mean over the responses that reach it, their number.
    """

    fingerprint: Mapping[str, Any]
    metrics: Mapping[str, MetricResult]
    documents: Mapping[str, list[Any]] = field(repr=False)
    data: Mapping[str, Any]
    cut_prompts: int | None
    main_metric: str
    teacher: Mapping[str, Any] | None = None
    curves: Mapping[str, Mapping[str, list[Any]]] = field(default_factory=dict, repr=False)
    schema: int = SCHEMA

    @property
    def task(self) -> str:
        """The task's name."""
        return str(self.fingerprint["task"])


def read_task(path: Path) -> TaskResult:
    """A task's result.

    Raises:
        InputError: not a result file, or one of another schema.
    """
    content = read_json(path)
    try:
        metrics = {name: MetricResult(**one) for name, one in content.pop("metrics").items()}
        return TaskResult(metrics=metrics, **content)
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: not a result of kdbench: {error}") from None
