"""The teacher's scores from a cache, as the metrics take them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from kdbench.fidelity.texts import ComparedText
from kdbench.generate import Prompt
from kdbench.metrics import Positions, PositionSet, TopPositions
from kdbench.scores.cache import COLUMNS, ScoreColumns, digest_of_tokens

if TYPE_CHECKING:
    import torch


def digest_of(text: ComparedText, prompt: Prompt) -> str:
    """Hash a text: the tokens that the teacher reads."""
    return digest_of_tokens(prompt.ids, text.rollout.response_ids)


class CachedScores:
    """A teacher's scores of one batch in the cache's form.

    Args:
        texts: Scores of each text.
        device: Device on which they are compared.
    """

    def __init__(self, texts: Sequence[ScoreColumns], device: Any):
        import torch

        self._columns = {
            column: torch.cat([text[column] for text in texts]).to(device) for column in COLUMNS
        }

    def positions(
        self,
        chunk: "torch.Tensor",
        log_q: "torch.Tensor",
        targets: "torch.Tensor",
        position_set: PositionSet,
    ) -> "tuple[Positions, torch.Tensor]":
        """Join the teacher's top k with the student's scores.

        The teacher's probability of tokens that are not shared is not stored, and given as 0.
        """
        log_p, ids, tail, entropy, target = (self._columns[name][chunk] for name in COLUMNS)
        at = TopPositions(log_p, ids.long(), tail, entropy, target, log_q, targets, position_set)
        return at, log_q.new_zeros(len(log_q))

    def close(self) -> None:
        """Do nothing: the scores are already stored."""
