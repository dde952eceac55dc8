"""Both models over the texts of a position set: hidden states of a batch, logits of a chunk.

No logits of a whole batch ever exist: head, softmax and metrics run over a chunk of positions at a
time, so peak memory grows with neither text length nor number of texts.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from typing import Protocol as Interface

from kdbench.errors import InputError
from kdbench.fidelity.texts import Text
from kdbench.metrics import (
    PooledTokenMetric,
    PositionMetric,
    Positions,
    PositionSet,
    TokenMetric,
    TopPositions,
)
from kdbench.views import Batch, ModelView, chunk_length

if TYPE_CHECKING:
    import numpy as np
    import torch

_TENSORS = 4  # of (chunk, V) are alive for metrics where a loss has one


class Sight(Interface):
    """A teacher's scores of one batch."""

    def positions(
        self,
        part: "torch.Tensor",
        log_q: "torch.Tensor",
        targets: "torch.Tensor",
        where: PositionSet,
    ) -> tuple[Positions, "torch.Tensor"]:
        """The chunk as a metric sees it, and the teacher's mass beyond the shared tokens, (n,)."""

    def close(self) -> None:
        """The batch is done."""


See = Callable[[Batch, Sequence[Text]], Sight]


@dataclass(frozen=True)
class Outcome:
    """What one text gave.

    Attributes:
        tokens: each token metric's value at each position, (length,); NaN does not count.
        pooled: each pooled metric's sums, (K,).
        cut_mass: mean probability beyond the shared tokens: the student's, the teacher's.
        outside: mean probability outside of a cached teacher's top k: the student's, the teacher's.
    """

    text: Text
    tokens: "dict[str, np.ndarray]"
    pooled: "dict[str, np.ndarray]"
    cut_mass: tuple[float, float]
    outside: tuple[float, float] = (0.0, 0.0)


def look(
    batch: Sequence[Text],
    student: ModelView,
    see: See,
    metrics: Sequence[PositionMetric],
    where: PositionSet,
    chunk: int | None = None,
) -> Iterator[Outcome]:
    """Score the texts of one batch.

    Args:
        batch: texts, each with a response.
        student: over the shared tokens.
        see: the teacher, over the same.
        metrics: what to measure.
        where: the position set.
        chunk: positions of a chunk; None is found from the vocabulary. It changes no result.

    Raises:
        InputError: logits that are not finite.
    """
    import numpy as np
    import torch

    read = Batch([text.rollout for text in batch], student.model.device)
    with torch.inference_mode():
        states, sight = student.states(read), see(read, batch)
        size = chunk or max(16, chunk_length(student.vocabulary, states.device.type) // _TENSORS)
        parts = []
        for part in torch.arange(len(states), device=states.device).split(size):
            parts.append(_chunk(part, states, read, student, sight, metrics, where))
    sight.close()
    ends = np.cumsum(read.lengths)[:-1]
    columns = {name: np.split(_joined(parts, name), ends) for name in parts[0]}
    for row, text in enumerate(batch):
        mine = {name: rows[row] for name, rows in columns.items()}
        masses = [float(one) for one in mine.pop("").mean(axis=0)]
        if not np.isfinite(masses).all():
            raise InputError(
                f"the logits on document '{text.rollout.id}' are not finite: the weights of "
                "student or teacher are broken, or too large for dtype=float16 (try bfloat16)"
            )
        yield Outcome(
            text,
            {m.name: mine[m.name] for m in metrics if isinstance(m, TokenMetric)},
            {m.name: mine[m.name].sum(axis=0) for m in metrics if isinstance(m, PooledTokenMetric)},
            (masses[0], masses[1]),
            (masses[2], masses[3]),
        )


def _chunk(
    part: "torch.Tensor",
    states: "torch.Tensor",
    read: Batch,
    student: ModelView,
    sight: Sight,
    metrics: Sequence[PositionMetric],
    where: PositionSet,
) -> "dict[str, torch.Tensor]":
    """Each metric's numbers at the positions of a chunk; under "" the masses that are not seen."""
    import torch

    log_q, student_cut = student.log_probs(states[part])
    at, teacher_cut = sight.positions(part, log_q, read.targets[part], where)
    # A softmax with a logit that is not finite is NaN throughout.
    broken = log_q[:, 0].isnan() | at.log_p[:, 0].isnan()
    masses = torch.stack([student_cut, teacher_cut, *_outside(at)], -1)
    found = {"": masses.masked_fill(broken[:, None], torch.nan)}
    for metric in metrics:
        if isinstance(metric, TokenMetric):
            found[metric.name] = metric.values(at)
        elif isinstance(metric, PooledTokenMetric):
            found[metric.name] = metric.sums(at)
    return {name: values.double().cpu() for name, values in found.items()}


def _outside(at: Positions) -> "tuple[torch.Tensor, torch.Tensor]":
    """The probability of the class that stands for all tokens outside of the teacher's top k."""
    import torch

    if isinstance(at, TopPositions):
        return at.log_q[:, -1].exp(), at.log_p[:, -1].exp()
    none = torch.zeros_like(at.log_q[:, 0])
    return none, none


def _joined(parts: Sequence[dict[str, Any]], name: str) -> "np.ndarray":
    import torch

    whole: np.ndarray = torch.cat([part[name] for part in parts]).numpy()
    return whole
