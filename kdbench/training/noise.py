"""Gaussian noise on a teacher's logits, for studies of how much of its signal a student needs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kdbench.generate.row.noise import gumbel, step_keys
from kdbench.training.chunk import Chunk, Plan
from kdbench.training.objective import Match
from kdbench.training.target import tempered

if TYPE_CHECKING:
    import torch

_KEYS = ("noise key", "second noise key")
_SEED = 0  # the noise belongs to the teacher, whatever the seed of the training
# The largest float32 below 1, of which the normal quantile is finite.
_HIGHEST = 1 - 2.0**-24


def gaussian(keys: "torch.Tensor", vocabulary: int) -> "torch.Tensor":
    """Standard normal numbers of a counter-based generator, at most 5.4.

    Args:
        keys: Two keys of each row, int32 (rows, 2), as of `step_keys`.
        vocabulary: Number of columns V.

    Returns:
        float32 (rows, V) on the device of the keys.
    """
    import torch

    # A Gumbel variable is -log(-log(1-u)); u is uniform, and small u keep their precision.
    uniform = -(-(-gumbel(keys, vocabulary)).exp()).expm1()
    return torch.special.ndtri(uniform.clamp(max=_HIGHEST))


@dataclass(frozen=True)
class NoisyMatch(Match):
    """`Match` with softmax((z + σ ε) / T) in place of softmax(z / T), ε standard normal.

    The noise is one of a number per response token and token of the vocabulary. It depends on the
    example, the place in its response and nothing else: the same in every epoch, batch and run.

    Attributes:
        noise: σ, standard deviation in units of logits.
    """

    noise: float = 1.0

    @property
    def takes_top_k(self) -> bool:  # type: ignore[override]
        """Noise is on all tokens."""
        return False

    def plan(self, plan: Plan) -> "Mapping[str, torch.Tensor]":
        """The keys of each token's noise, int32 (rows, L) each."""
        import torch

        keys = plan.mask.new_zeros(*plan.mask.shape, len(_KEYS), dtype=torch.int32)
        for row, rollout in enumerate(plan.batch.rollouts):
            of_row = step_keys(_SEED, rollout.id, len(rollout.response_ids))
            keys[row, : len(of_row)] = torch.from_numpy(of_row.copy()).to(keys.device)
        return {name: keys[..., place] for place, name in enumerate(_KEYS)}

    def token(self, chunk: Chunk) -> "torch.Tensor":
        """T² D(p of the noisy logits, q)."""
        import torch

        logits = chunk.view_logits(self.view)
        keys = torch.stack([chunk.plan[name] for name in _KEYS], -1)
        noisy = logits + self.noise * gaussian(keys, logits.shape[-1])
        log_p = tempered(noisy, self.temperature)
        log_q = tempered(chunk.logits, self.temperature)
        return self.temperature**2 * self.divergence(log_p, log_q, **self.options)

    def __str__(self) -> str:
        return f"{super().__str__()} noise={self.noise:g}"
