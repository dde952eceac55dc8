"""Both models over the texts of a position set: hidden states by batch, logits by chunk.

The logits of a whole batch are never in memory: head, softmax and metrics run over a chunk of
positions at a time, so that peak memory grows with neither the length nor the number of texts.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from typing import Protocol as Interface

from kdbench.errors import InputError
from kdbench.fidelity.texts import ComparedText
from kdbench.fidelity.token_details import detail_values
from kdbench.metrics import (
    PooledTokenMetric,
    PositionMetric,
    Positions,
    PositionSet,
    TokenMetric,
    TopPositions,
)
from kdbench.metrics.divergences import Acceptance
from kdbench.views import Batch, ModelView, chunk_length

if TYPE_CHECKING:
    import numpy as np
    import torch

_TENSORS = 4  # tensors of shape (chunk, V) that metrics need where a loss needs one
_MASSES = ""  # key of the masses among the metrics' columns
_DETAILS = " "  # key of the token details
_ACCEPTANCE = Acceptance()


class TeacherScores(Interface):
    """A teacher's scores of the texts of one batch."""

    def positions(
        self,
        chunk: "torch.Tensor",
        log_q: "torch.Tensor",
        targets: "torch.Tensor",
        position_set: PositionSet,
    ) -> tuple[Positions, "torch.Tensor"]:
        """Join the teacher's scores of a chunk with the student's.

        Args:
            chunk: Indices of the chunk's positions in the batch, (n,).
            log_q: The student's log-probabilities, (n, V).
            targets: The response's tokens, (n,).
            position_set: Position set to which the batch belongs.

        Returns:
            The chunk as metrics see it, and the teacher's probability of tokens that are not
            shared, (n,).
        """

    def close(self) -> None:
        """Finish the batch."""


TeacherScorer = Callable[[Batch, Sequence[ComparedText]], TeacherScores]


@dataclass(frozen=True)
class TextScores:
    """The numbers of one text.

    Attributes:
        text: The text.
        tokens: Values of each token metric by position, (length,); NaN does not count.
        pooled: Sums of each pooled metric, (K,).
        cut_mass: Mean probability of tokens that are not shared: the student's, the teacher's.
        outside: Mean probability outside the teacher's top k, if only these are known: the
            student's, the teacher's.
        details: Rows of `detail_values` by position, if they were asked for.
    """

    text: ComparedText
    tokens: "dict[str, np.ndarray]"
    pooled: "dict[str, np.ndarray]"
    cut_mass: tuple[float, float]
    outside: tuple[float, float] = (0.0, 0.0)
    details: "np.ndarray | None" = None


def compare_batch(
    texts: Sequence[ComparedText],
    student: ModelView,
    teacher: TeacherScorer,
    metrics: Sequence[PositionMetric],
    position_set: PositionSet,
    chunk: int | None = None,
    byte_lengths: Sequence[int] | None = None,
    details: bool = False,
) -> Iterator[TextScores]:
    """Measure the texts of one batch.

    Args:
        texts: Texts of the batch, each with a response.
        student: The student, over the shared tokens.
        teacher: The teacher, over the same tokens.
        metrics: Metrics to measure.
        position_set: Position set to which the texts belong.
        chunk: Number of positions per chunk; by default it depends on the vocabulary. It does not
            affect the results.
        byte_lengths: Number of bytes that each of the student's tokens writes, by id, -1 for an end
            token; None if no metric counts bytes.
        details: Whether to return the token details.

    Raises:
        InputError: Logits are not finite.
    """
    import numpy as np
    import torch

    batch = Batch([text.rollout for text in texts], student.model.device)
    with torch.inference_mode():
        states, scores = student.states(batch), teacher(batch, texts)
        size = chunk or max(16, chunk_length(student.vocabulary, states.device.type) // _TENSORS)
        chunks = [
            _compare_chunk(
                indices,
                states,
                batch,
                student,
                scores,
                metrics,
                position_set,
                byte_lengths,
                details,
            )
            for indices in torch.arange(len(states), device=states.device).split(size)
        ]
    scores.close()
    ends = np.cumsum(batch.lengths)[:-1]
    columns = {name: np.split(_joined(chunks, name), ends) for name in chunks[0]}
    for row, text in enumerate(texts):
        values = {name: rows[row] for name, rows in columns.items()}
        yield _text_scores(text, values, metrics)


def _text_scores(
    text: ComparedText, values: "Mapping[str, np.ndarray]", metrics: Sequence[PositionMetric]
) -> TextScores:
    masses = [float(mass) for mass in values[_MASSES].mean(axis=0)]
    _check_finite(masses, text)
    return TextScores(
        text,
        {m.name: values[m.name] for m in metrics if isinstance(m, TokenMetric)},
        {m.name: values[m.name].sum(axis=0) for m in metrics if isinstance(m, PooledTokenMetric)},
        (masses[0], masses[1]),
        (masses[2], masses[3]),
        values.get(_DETAILS),
    )


def _check_finite(masses: Sequence[float], text: ComparedText) -> None:
    import numpy as np

    if not np.isfinite(masses).all():
        raise InputError(
            f"the logits on document '{text.rollout.id}' are not finite: the weights of "
            "student or teacher are broken, or too large for dtype=float16 (try bfloat16)"
        )


def _compare_chunk(
    indices: "torch.Tensor",
    states: "torch.Tensor",
    batch: Batch,
    student: ModelView,
    scores: TeacherScores,
    metrics: Sequence[PositionMetric],
    position_set: PositionSet,
    byte_lengths: Sequence[int] | None,
    details: bool,
) -> "dict[str, torch.Tensor]":
    """Each metric's numbers at the positions of a chunk, and the masses that metrics do not see."""
    import torch

    log_q, student_cut = student.log_probs(states[indices])
    at, teacher_cut = scores.positions(indices, log_q, batch.targets[indices], position_set)
    if byte_lengths is not None:
        at.target_bytes = torch.tensor([byte_lengths[token] for token in at.targets.tolist()])
        at.target_bytes = at.target_bytes.to(log_q.device)
    # A softmax over a logit that is not finite is NaN throughout.
    broken = log_q[:, 0].isnan() | at.log_p[:, 0].isnan()
    masses = torch.stack([student_cut, teacher_cut, *_outside_top_k(at)], -1)
    columns = {_MASSES: masses.masked_fill(broken[:, None], torch.nan)}
    for metric in metrics:
        counts = None if metric.everywhere else at.meets
        if isinstance(metric, TokenMetric):
            columns[metric.name] = _where(counts, metric.values(at), torch.nan)
        elif isinstance(metric, PooledTokenMetric):
            columns[metric.name] = _where(counts, metric.sums(at), 0.0)
    if details:
        known = columns.get(_ACCEPTANCE.name)
        acceptance = _where(at.meets, _ACCEPTANCE.values(at), torch.nan) if known is None else known
        columns[_DETAILS] = detail_values(at, acceptance)
    return {name: values.double().cpu() for name, values in columns.items()}


def _where(
    counts: "torch.Tensor | None", values: "torch.Tensor", otherwise: float
) -> "torch.Tensor":
    """Values of the positions that count, (n,) or (n, K); all do if there is no mask."""
    if counts is None:
        return values
    return values.masked_fill(~counts.view(-1, *[1] * (values.ndim - 1)), otherwise)


def _outside_top_k(at: Positions) -> "tuple[torch.Tensor, torch.Tensor]":
    """Both models' probability of all tokens outside the teacher's top k, if only k are known."""
    import torch

    if isinstance(at, TopPositions):
        return at.log_q[:, -1].exp(), at.log_p[:, -1].exp()
    zeros = torch.zeros_like(at.log_q[:, 0])
    return zeros, zeros


def _joined(chunks: Sequence[dict[str, Any]], name: str) -> "np.ndarray":
    import torch

    values: np.ndarray = torch.cat([chunk[name] for chunk in chunks]).numpy()
    return values
