"""A mix of domains: examples are drawn by domain, with weights that a schedule may change."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kdbench.errors import InputError
from kdbench.training.schedule import Schedule, ValidationSignals
from kdbench.training.source import (
    Draw,
    FromDataset,
    Source,
    keyed_uniform,
    sample_without_repetition,
    with_examples,
)
from kdbench.training.sources.wrapper import Wrapper
from kdbench.views.rollout import Example, Rollout

if TYPE_CHECKING:
    from kdbench.training.context import Context

_WEIGHT = "domain/"  # before a domain's name in the values of a schedule


@dataclass
class FromDomains(Wrapper):
    """Another source, whose examples are drawn by domain.

    The domain of each example of a step is drawn with the weights; within a domain the examples
    come in random order, none twice before all were used. The draws are those of the whole step,
    of which each process takes its part, so the number of processes changes nothing.

    Attributes:
        name: The field that holds the domain.
        weights: The weight of each domain; None takes the schedule's values `domain/NAME`, or equal
            weights if it has none.
        source: What responds to the examples.
        orders: By domain, the key of its present order and the number of its examples used.
        drawn: By domain, the number of examples drawn so far, on all processes.
    """

    name: str = "domain"
    weights: Mapping[str, float] | None = None
    source: Source = field(default_factory=FromDataset)
    orders: dict[str, tuple[float, int]] = field(default_factory=dict, init=False)
    drawn: dict[str, int] = field(default_factory=dict, init=False)
    _examples: dict[str, list[Example]] = field(default_factory=dict, init=False, repr=False)
    _ordered: dict[str, tuple[float, list[Example]]] = field(
        default_factory=dict, init=False, repr=False
    )

    @property
    def fields(self) -> tuple[str, ...]:  # type: ignore[override]
        """The field of the domain, and those of the source that responds."""
        return (self.name, *self.source.fields)

    def check(self, train: Sequence[Example]) -> None:
        """Check that fixed weights are those of the domains in the training set.

        Raises:
            InputError: A domain has no weight, or a weight has no domain.
        """
        self.source.check(train)
        known = _by_domain(train, self.name)
        for domain in self.weights or {}:
            if domain not in known:
                raise InputError(
                    f"FromDomains: no training row has {self.name}={domain}; there are "
                    f"{', '.join(sorted(known))}"
                )
        if self.weights:
            self._checked(self.weights, sorted(known))

    def begin(self, context: "Context") -> None:
        """Sort the training set by domain."""
        self.source.begin(context)
        self._examples = _by_domain(context.train, self.name)

    def rollouts(self, draw: Draw) -> list[Rollout]:
        """The responses to as many examples as a whole step has on this process."""
        weights = self._weights(draw.schedule)
        mine = range(draw.process * draw.size, (draw.process + 1) * draw.size)
        examples = []
        for place in range(draw.size * draw.processes):
            domain = _drawn(weights, draw.uniform(f"domain {place}"))
            example = self._next(domain, draw, place)
            if place in mine:
                examples.append(example)
        return self.source.rollouts(with_examples(draw, examples))

    def _weights(self, schedule: Mapping[str, float]) -> dict[str, float]:
        """The weight of each domain, in the order of their names.

        Raises:
            InputError: A domain has none, or they are no weights.
        """
        given = self.weights or {
            name.removeprefix(_WEIGHT): value
            for name, value in schedule.items()
            if name.startswith(_WEIGHT)
        }
        domains = sorted(self._examples)
        return self._checked(given, domains) if given else dict.fromkeys(domains, 1.0)

    def _checked(self, given: Mapping[str, float], domains: Sequence[str]) -> dict[str, float]:
        for domain in domains:
            if not (math.isfinite(given.get(domain, math.nan)) and given[domain] >= 0):
                raise InputError(f"FromDomains: {self.name}={domain} needs a weight of 0 or more")
        if not any(given[domain] for domain in domains):
            raise InputError("FromDomains: all weights are 0")
        return {domain: given[domain] for domain in domains}

    def _next(self, domain: str, draw: Draw, place: int) -> Example:
        examples = self._examples[domain]
        key, used = self.orders.get(domain, (0.0, len(examples)))
        if used >= len(examples):
            key, used = draw.uniform(f"order of {domain} at {place}"), 0
        if self._ordered.get(domain, (None,))[0] != key:
            order = sample_without_repetition(
                examples, len(examples), lambda name: keyed_uniform(key, name)
            )
            self._ordered[domain] = (key, order)
        self.orders[domain] = (key, used + 1)
        self.drawn[domain] = self.drawn.get(domain, 0) + 1
        return self._ordered[domain][1][used]

    def state(self) -> dict[str, Any]:
        """Where each domain is, and the state of the source that responds."""
        orders = {name: list(order) for name, order in self.orders.items()}
        return {"orders": orders, "drawn": self.drawn, "source": self.source.state()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from a state."""
        self.orders = {name: (key, used) for name, (key, used) in state["orders"].items()}
        self.drawn = dict(state["drawn"])
        self.source.restore(state["source"])

    def __str__(self) -> str:
        return f"{self.source} by {self.name}"


def _by_domain(examples: Sequence[Example], name: str) -> dict[str, list[Example]]:
    domains: dict[str, list[Example]] = {}
    for example in examples:
        domains.setdefault(str(example.field(name)), []).append(example)
    return domains


def _drawn(weights: Mapping[str, float], uniform: float) -> str:
    """The domain at a place of [0, 1) on the line of all weights."""
    place, last = uniform * math.fsum(weights.values()), ""
    for domain, weight in weights.items():
        if weight:
            last, place = domain, place - weight
            if place < 0:
                break
    return last


@dataclass
class DomainWeights(Schedule):
    """DDK's weights: domains in which the student is farther behind the teacher are drawn more.

    Paper: Liu et al. 2024 (arXiv 2407.16154). With the perplexities of both models on the
    validation rows of each of N domains, r ∝ exp(ppl_S / ppl_T) at first; then, at each validation,
    ψ = r exp(ppl_S / ppl_T) and r = s ψ / Σψ + (1 - s) / N.

    Attributes:
        domain: The field that holds the domain.
        share: s, the share of the weights that follow the perplexities; 0 draws evenly, a control.
        view: The view that the student is compared with.
        weights: The weight of each domain, r; none before the first validation.
        worst: By how many nats per token the student is behind in the domain where it is most.
    """

    domain: str | None = "domain"
    share: float = 0.5
    view: str = "teacher"
    weights: dict[str, float] = field(default_factory=dict, init=False)
    worst: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        if not 0 <= self.share < 1:
            raise InputError("DomainWeights: share= must be 0 or more and below 1")

    @property
    def views(self) -> tuple[str, ...]:  # type: ignore[override]
        """The view that the student is compared with."""
        return (self.view,)

    def check(self, train: Sequence[Example], valid: Sequence[Example]) -> None:
        """Check that every domain can be validated.

        Raises:
            InputError: A domain of the training set has no validation row.
        """
        assert self.domain is not None  # noqa: S101 - optional in the parent alone
        trained, validated = (_by_domain(examples, self.domain) for examples in (train, valid))
        if missing := sorted(set(trained) - set(validated)):
            raise InputError(
                f"DomainWeights: no validation row has {self.domain}={missing[0]}, as "
                "training rows have; add one, or raise validation_limit="
            )

    def values(self, progress: float) -> Mapping[str, float]:  # noqa: ARG002
        """The weight of each domain, as `domain/NAME`, and `worst_domain`, for the log."""
        weights = {f"{_WEIGHT}{name}": weight for name, weight in self.weights.items()}
        return {**weights, "worst_domain": self.worst} if weights else {}

    def after_validation(self, signals: ValidationSignals) -> None:
        """Compare the two models on each domain."""
        student, other = signals.by_domain["student"], signals.by_domain[self.view]
        # e^50 is far beyond any perplexity of a vocabulary, and its ratios stay finite.
        behind = {name: min(50.0, student[name] - other[name]) for name in sorted(student)}
        self.worst = max(behind.values())
        ratios = {name: math.exp(difference) for name, difference in behind.items()}
        largest, before = max(ratios.values()), self.weights or dict.fromkeys(ratios, 1.0)
        psi = {name: before[name] * math.exp(ratios[name] - largest) for name in ratios}
        total = math.fsum(psi.values())
        share = self.share if self.weights or not self.share else 1.0
        rest = (1 - share) / len(psi)
        self.weights = {name: share * value / total + rest for name, value in psi.items()}

    def state(self) -> dict[str, Any]:
        """The weights, which remember all validations."""
        return {"weights": self.weights, "worst": self.worst}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from a state."""
        self.weights, self.worst = dict(state["weights"]), state.get("worst", 0.0)

    def __str__(self) -> str:
        return f"domain_weights({self.domain}, {self.view})"
