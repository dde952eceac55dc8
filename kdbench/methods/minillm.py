"""MiniLLM: policy gradient of the sequence-level reverse KL.

Paper: Gu et al. 2024 (arXiv 2306.08543); constants from its public code.
Objective: with reward r_t = (log p(y_t) - log q_old(y_t)) / `reward_scale`, clipped, and advantage
    A_t = (sum over k >= t of `discount`^(k-t) r_k) / (T - t + 1), whitened over the rollouts:
      -min(A ρ, A clip(ρ, 1-`clip`, 1+`clip`)),  ρ = w q(y)/q_old(y),  w = q_old(y)/p̃(y),
    plus the single-step term KL(q‖p) over the whole vocabulary, without importance weight. As in
    the code, A_t includes r_t although the single-step term covers it, and `discount` is 0.95; the
    paper has neither.
Whitening: over the tokens of the whole set of rollouts of all processes, as in the code, but
    without padding, which the code counts. Whitening removes the scale of the rewards, so
    `reward_scale` only decides which ones are clipped. `length_norm=false` is an addition of
    kdbench.
Data: y ~ p̃ = (1-a) q + a p token by token, a = `teacher_mix`; each set of `rollout_batches` batches
    serves `passes` passes (PPO). So a step uses `batch_size` / `passes` new prompts, and an epoch,
    which uses every prompt, has `passes` times as many steps as that of another method; see
    `kdbench.training.FromMixture`. The pre-training loss is `pretraining=FILE`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from kdbench.divergence import reverse_kl
from kdbench.methods import Mechanism, Method, methods
from kdbench.training import Chunk, Draw, FromMixture, Match, Objective, Rollout, Term, Triple
from kdbench.training.weight import (
    SumOverProcesses,
    clipped_ratio_loss,
    mean_of_rest,
    whitened,
)

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class PolicyGradient(Objective):
    """PPO's clipped loss, with the advantages recorded at sampling."""

    views = ()
    weighs_rollouts = True
    floor: ClassVar[float | None] = None
    clip: float = 0.2

    def token(self, chunk: Chunk) -> "torch.Tensor":
        """-min(A ρ, A clip(ρ)) with ρ = q(y)/p̃(y), where only q(y) has a gradient."""
        ratio = (chunk.of_target(chunk.log_q) - chunk.plan["log_sampled"]).exp()
        return clipped_ratio_loss(ratio, chunk.plan["advantage"], self.clip)

    def __str__(self) -> str:
        return f"policy_gradient(clip={self.clip:g})"


@methods.register("minillm")
class MiniLLM(Method):
    """Policy gradient of the reverse KL on teacher-mixed samples."""

    title: ClassVar[str] = "MiniLLM"
    paper: ClassVar[str] = "Gu et al. 2024, arXiv 2306.08543"
    cost: ClassVar[str] = "teacher forward, generation by student and teacher together"
    family: ClassVar[str] = "on_policy"
    basis: ClassVar[str] = "paper and authors' code"
    mechanism: ClassVar[Mechanism | None] = Mechanism(
        "rkl@student", "down", "distance on the student's own samples"
    )
    plain_sampling: ClassVar[bool] = True
    teacher_mix: float = Field(0.2, ge=0, le=1, description="a, teacher's share in sampling")
    rollout_batches: int = Field(4, ge=1, description="number of batches that are sampled together")
    passes: int = Field(4, ge=1, description="number of passes over each set of rollouts")
    clip: float = Field(0.2, gt=0, description="clip of the probability ratio")
    discount: float = Field(0.95, ge=0, le=1, description="discount of later rewards per token")
    length_norm: bool = Field(
        True,
        description="divide the reward by the number of tokens left; MiniLLM's code always does",
    )
    reward_scale: float = Field(
        0.5, gt=0, description="divisor of the rewards; after whitening it only moves the clip"
    )
    reward_clip: float = Field(100.0, gt=0, description="largest absolute reward after scaling")
    single_step: float = Field(1.0, ge=0, description="weight of the single-step reverse KL")

    def triple(self) -> Triple:
        """The policy gradient and the single-step term."""
        terms = [Term(PolicyGradient(self.clip)), Term(Match(reverse_kl), self.single_step)]
        source = FromMixture(self.teacher_mix, self.rollout_batches, self.passes, self._record)
        return Triple([term for term in terms if term.weight], source)

    def _record(self, draw: Draw, rollouts: Sequence[Rollout]) -> list[Rollout]:
        """Record the advantage and log p̃(y) of each token at sampling."""
        log_q = draw.target_log_probs(rollouts, "student")
        log_p = draw.target_log_probs(rollouts, "teacher")
        advantages = self.advantages(log_q, log_p, draw.sum_over_processes)
        sampled = [self._log_mixture(q, p) for q, p in zip(log_q, log_p, strict=True)]
        return [
            rollout.with_recorded(advantage=advantage, log_sampled=log_sampled)
            for rollout, advantage, log_sampled in zip(rollouts, advantages, sampled, strict=True)
        ]

    def advantages(
        self,
        log_q: Sequence[Sequence[float]],
        log_p: Sequence[Sequence[float]],
        sum_over_processes: SumOverProcesses = list,
    ) -> list[list[float]]:
        """The advantage of each token of each response, whitened over those of all processes.

        Args:
            log_q: The student's log-probabilities of the response tokens, row by row.
            log_p: The teacher's.
            sum_over_processes: Returns the sums of numbers over all processes.
        """
        import torch
        from torch.nn.utils.rnn import pad_sequence

        def padded(rows: Sequence[Sequence[float]]) -> torch.Tensor:
            return pad_sequence([torch.tensor(row) for row in rows], batch_first=True)

        mask = padded([[1.0] * len(row) for row in log_q]).bool()
        reward = (padded(log_p) - padded(log_q)) / self.reward_scale
        reward = reward.clamp(-self.reward_clip, self.reward_clip)
        rest = mean_of_rest(reward, mask, self.discount, normalise=self.length_norm)
        advantage = whitened(rest, mask, sum_over_processes)
        return [row[kept].tolist() for row, kept in zip(advantage, mask, strict=True)]

    def _log_mixture(self, log_q: Sequence[float], log_p: Sequence[float]) -> list[float]:
        import torch

        from kdbench.divergence import mixture

        mixed: list[float] = mixture(
            torch.tensor(log_p), torch.tensor(log_q), self.teacher_mix
        ).tolist()
        return mixed
