"""Pre-training distillation: the language-model loss on texts, mixed with the teacher's top tokens.

Paper: Peng et al. 2024 (arXiv 2410.16215); third-party notes were read, no code.
Objective: (1-α) CE - α Σ_v t_v log q_v at every token of the texts. t are the likeliest tokens of
    the teacher up to `top_p` of its probability, the one that crosses it included, and at most
    `top_k`; t ∝ p^(1/T) on these, T = `target_temperature`; q is over all tokens. A T after the cut
    and one before it are different targets. The notes have k = 100, found 50 the best once, and T
    up to 2.
Schedule: `alpha_schedule=wsd` raises α linearly to `kd_ratio` in the first tenth, keeps it, and
    lowers it to 0 in the last fifth; the shares are kdbench's. `lr_schedule=wsd` does so with the
    learning rate. The notes have it ahead of a constant α.
Data: texts (`train_format=text`), of which all tokens but the first are learned; or prompts and
    responses. The texts of a step are packed into rows of `window_tokens`; none sees another, so
    the loss is that of each alone, and a cache has them by their own tokens. A text longer than
    `max_length=` is cut.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from kdbench.methods import Mechanism, Method, methods
from kdbench.training import (
    Chunk,
    Constant,
    CrossEntropy,
    FromPacked,
    Objective,
    Term,
    Triple,
    WarmupStableDecay,
)

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class KeptTokens(Objective):
    """Cross-entropy to the teacher's likeliest tokens, renormalised at a temperature."""

    floor: ClassVar[float | None] = None  # the target's entropy, and what it leaves out
    takes_top_k = True
    top_p: float = 0.95
    top_k: int = 50
    temperature: float = 1.0

    @property
    def least_top_k(self) -> int:  # type: ignore[override]
        """The number of tokens that a cache must have."""
        return self.top_k

    def token(self, chunk: Chunk) -> "torch.Tensor":
        """-Σ t_v log q_v."""
        cached = chunk.top_k("teacher")
        log_p, ids = (chunk.log_p, None) if cached is None else (cached.log_p, cached.ids)
        top = log_p.topk(min(self.top_k, log_p.shape[-1]), dim=-1)
        tokens = top.indices if ids is None else ids.gather(-1, top.indices)
        p = top.values.exp()
        before = p.cumsum(-1) - p
        target = top.values / self.temperature
        target = target.masked_fill(before >= self.top_p, -float("inf")).softmax(-1)
        return -(target * chunk.log_q.gather(-1, tokens)).sum(-1)

    def __str__(self) -> str:
        form = f"top_p={self.top_p:g}, top_k={self.top_k}, temperature={self.temperature:g}"
        return f"kept_tokens({form})"


@methods.register("pretrain_kd")
class PretrainKD(Method):
    """Cross-entropy on packed texts, mixed with that to the teacher's likeliest tokens."""

    title: ClassVar[str] = "Pretrain KD"
    paper: ClassVar[str] = "Peng et al. 2024, arXiv 2410.16215"
    cost: ClassVar[str] = "teacher forward, or none with cached scores"
    family: ClassVar[str] = "data"
    basis: ClassVar[str] = "third-party notes"
    data: ClassVar[str] = "texts (train_format=text)"
    mechanism: ClassVar[Mechanism | None] = Mechanism(
        "lm_loss", "down", "loss after as many tokens as without a teacher"
    )
    kd_ratio: float = Field(0.9, ge=0, le=1, description="α, weight of the divergence; CE has 1-α")
    alpha_schedule: Literal["constant", "wsd"] = Field(
        "wsd", description="how α moves: not at all, or warm-up, stable, decay"
    )
    top_p: float = Field(
        0.95, gt=0, le=1, description="share of the teacher's probability whose tokens are kept"
    )
    top_k: int = Field(50, ge=1, description="k, most tokens that are kept")
    target_temperature: float = Field(
        1.0, gt=0, description="T, divides the teacher's kept log-probabilities"
    )
    window_tokens: int = Field(
        512, ge=0, description="most tokens of texts that share a row; 0 packs none"
    )

    def triple(self) -> Triple:
        """Both terms on packed texts."""
        divergence = KeptTokens(self.top_p, self.top_k, self.target_temperature)
        source, moves = FromPacked(window=self.window_tokens), self.alpha_schedule == "wsd"
        if not self.kd_ratio:
            return Triple(CrossEntropy(), source)
        terms = [
            Term(CrossEntropy(), "lm_weight" if moves else 1 - self.kd_ratio),
            Term(divergence, "kd_weight" if moves else self.kd_ratio),
        ]
        schedule = WarmupStableDecay(self.kd_ratio) if moves else Constant()
        return Triple([term for term in terms if term.weight], source, schedule)
