"""TGeo-KD: a controller chooses for each token how much it learns from the teacher.

Paper: TGeo-KD (arXiv 2312.15112); its public code was read. There the controller gets no gradient,
    so that weight decay alone moves it, and cross-entropy is taken of probabilities; this is the
    described method, so published numbers are no reference for it.
Objective: α T² KL(p_T‖q_T) + (1-α) CE, T = `temperature`. α, of each token, is the sigmoid of a
    network of 7-16-1 units given log p(y), log q(y), KL(p‖q), H_p, H_q, whether y is the teacher's
    first choice, and the teacher's mean log-probability of this token y where it is the response's
    (the class average of the original, by token). The student's loss has no gradient to α.
Controller: every `controller_every` steps it learns to lower the cross-entropy of validation rows
    after one virtual step of the student's last layer. With θ' = θ - η ∇L_train, it is
    dL_valid/dα_t = -η ⟨∇L_valid(θ'), ∇(T² KL - CE)_t⟩ / N. Validation rows thus take part in the
    training. The code's controller has Adam with 0.1 and weight decay 0.05; here it has the
    student's optimiser at `controller_rate` times its learning rate.
Data: the dataset's responses. The log has the mean α and, if all rows have a column `wrong` (1 or
    0), which nothing else reads, its correlation with α over tokens.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from kdbench.divergence import entropy, forward_kl
from kdbench.methods import Mechanism, Method, methods
from kdbench.training import Chunk, FromBilevel, Mixed, Part, Preparation, Sizes, Triple
from kdbench.training.sources.bilevel import RECORDED
from kdbench.training.target import tempered

if TYPE_CHECKING:
    import torch

    from kdbench.training import Context

_INPUTS, _UNITS, _LARGEST = 7, 16, 20.0
_AVERAGE = "token_log_prob"


@dataclass(eq=False)
class Controlled(Mixed):
    """Forward KL at a temperature and cross-entropy, in shares of the controller."""

    floor: ClassVar[float | None] = None
    temperature: float = 1.5

    def __post_init__(self) -> None:
        self._average: torch.Tensor | None = None

    def begin(self, context: "Context") -> None:
        """Take the teacher's mean log-probability of each token."""
        self._average = context.statistics[_AVERAGE].to(context.device)

    def share(self, chunk: Chunk) -> "torch.Tensor":
        """α of each token."""
        import torch

        log_p, log_q = chunk.log_p, chunk.log_q.detach()
        own = chunk.of_target(log_p)
        average = torch.zeros_like(own) if self._average is None else self._average[chunk.targets]
        is_first = log_p.argmax(-1) == chunk.targets
        scalars = (
            own,
            chunk.of_target(log_q),
            forward_kl(log_p, log_q),
            entropy(log_p),
            entropy(log_q),
            is_first.to(own.dtype),
            average.to(own.dtype),
        )
        given = torch.stack(scalars, -1).clamp(-_LARGEST, _LARGEST)
        return chunk.parts["controller"](given)[:, 0].sigmoid()

    def gap(self, chunk: Chunk) -> "torch.Tensor":
        """T² KL(p_T‖q_T) - CE."""
        log_p = tempered(chunk.view_logits("teacher"), self.temperature)
        log_q = tempered(chunk.logits, self.temperature)
        divergence = self.temperature**2 * forward_kl(log_p, log_q)
        return divergence + chunk.of_target(chunk.log_q)

    def token(self, chunk: Chunk) -> "torch.Tensor":
        """The mixed loss; what the source recorded gives the controller its gradient."""
        share = self.share(chunk)
        loss = share.detach() * self.gap(chunk) - chunk.of_target(chunk.log_q)
        if RECORDED in chunk.plan:
            loss = loss + chunk.plan[RECORDED].to(loss.dtype) * (share - share.detach())
        return loss

    def diagnostics(self, chunk: Chunk) -> Mapping[str, "torch.Tensor"]:
        """α."""
        return {"mixing/share": self.share(chunk)}

    def __str__(self) -> str:
        return f"controlled(temperature={self.temperature:g})"


def _controller(_: Sizes) -> Any:
    import torch

    first, last = torch.nn.Linear(_INPUTS, _UNITS), torch.nn.Linear(_UNITS, 1)
    return torch.nn.Sequential(first, torch.nn.LeakyReLU(), last)


@methods.register("tgeo")
class TGeo(Method):
    """Forward KL and cross-entropy, mixed token by token by a trained controller."""

    title: ClassVar[str] = "TGeo-KD (adapted)"
    paper: ClassVar[str] = "TGeo-KD, arXiv 2312.15112"
    cost: ClassVar[str] = "teacher forward; in a part of the steps a gradient of each response"
    family: ClassVar[str] = "data"
    basis: ClassVar[str] = "authors' code and abstract"
    adapted: ClassVar[str] = "samples of images to tokens; scalars for the controller's vectors"
    mechanism: ClassVar[Mechanism | None] = Mechanism(
        "log:mixing/correlation", "up", "α is larger where the answer is wrong", chance=0.0
    )
    temperature: float = Field(1.5, gt=0, description="T, divides both logits in the divergence")
    controller_every: int = Field(10, ge=1, description="number of steps between its updates")
    controller_rate: float = Field(
        10.0, ge=0, description="its learning rate, as a multiple of the student's"
    )
    virtual_rate: float = Field(0.1, gt=0, description="η, learning rate of the virtual step")
    validation_rows: int = Field(
        32, ge=1, description="number of validation rows whose loss it lowers"
    )
    average_rows: int = Field(
        500, ge=1, description="number of training rows for the teacher's mean of each token"
    )
    parameters: str = Field(
        "", description="patterns of the parameters' names, with commas (default: the last layer)"
    )

    def prepare(self, preparation: Preparation) -> Mapping[str, "torch.Tensor"]:
        """The teacher's mean log-probability of each token; the mean of all for one not seen."""
        import torch

        sums, counts = torch.zeros(2, preparation.vocabulary, dtype=torch.float64)
        for batch in preparation.batches(preparation.train[: self.average_rows]):
            targets = batch.targets.cpu()
            own = preparation.log_probs("teacher", batch).cpu().gather(-1, targets[:, None])[:, 0]
            sums.index_add_(0, targets, own.double())
            counts.index_add_(0, targets, torch.ones_like(own, dtype=torch.float64))
        means = torch.where(counts > 0, sums / counts.clamp(min=1), sums.sum() / counts.sum())
        return {_AVERAGE: means.float()}

    def triple(self) -> Triple:
        """The mixed loss on the dataset."""
        mixed = Controlled(self.temperature)
        source = FromBilevel(
            mixed,
            every=self.controller_every,
            rate=self.virtual_rate,
            parameters=self.parameters,
            validation_rows=self.validation_rows,
        )
        return Triple(mixed, source, parts={"controller": Part(_controller, self.controller_rate)})
