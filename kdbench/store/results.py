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
    """One metric of one task: an estimate with its unit, or the reason why it is missing.

    Attributes:
        unit: Unit of the numbers.
        direction: Which is better: `higher`, `lower` or `none`.
        version: Version of the metric.
        reason: Why there is no number.
        micro: For token metrics, the mean over all tokens; `value` is the mean over prompts.
        bound: `lower` or `upper` if the value is a bound of the true value.
        ceiling: Value that the teacher reaches against itself.
        floor: Value that the undistilled student reaches.
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
        """The share of the gap between floor and ceiling that the value closes.

        None if floor or ceiling is unknown, or if the gap is no wider than the value's confidence
        interval: the share would be noise.
        """
        if self.value is None or self.floor is None or self.ceiling is None:
            return None
        gap = self.ceiling - self.floor
        width = 0.0 if self.ci_low is None or self.ci_high is None else self.ci_high - self.ci_low
        return (self.value - self.floor) / gap if abs(gap) > width else None


@dataclass(frozen=True)
class TaskResult:
    """`<task>.json`.

    Attributes:
        fingerprint: What must be equal for two runs to compare.
        metrics: Metrics by name.
        documents: `id`, and the per-document means of each metric, in document order.
        data: `rows`, `used`, `sha256` and `published` of the task's data.
        cut_prompts: Number of prompts that the protocol's limit cut; None if unknown.
        main_metric: Name of the metric that tables show.
        teacher: Identity of the teacher that metrics of fidelity compare with.
        curves: Metrics by token index, named `name@set`: for each bucket its first index, the first
            index after it, the mean over the responses that reach it, and their number.
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
    """Read a task's result.

    Raises:
        InputError: The file is not a result, or has a different schema.
    """
    content = read_json(path)
    try:
        metrics = {name: MetricResult(**m) for name, m in content.pop("metrics").items()}
        return TaskResult(metrics=metrics, **content)
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: not a result of kdbench: {error}") from None
