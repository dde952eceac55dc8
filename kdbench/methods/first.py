"""FIRST: the teacher's few likeliest tokens, made as trustworthy as they are on validation tokens.

Paper: FIRST (arXiv 2408.12168); its public code was read. The released run passes probabilities
    where log-probabilities are meant, and so trains hard labels; this is the described loss.
Objective: KL(p' ‖ q'), p' and q' over the teacher's `top_k` tokens, q' renormalised.
    p' is renormalised from p^(1/T), T = `target_temperature`. `auto` finds the T at which p' makes
    the validation tokens that are among the top k likeliest, once before training.
    With `smoothing` δ it is renormalised from p, and δ of its first token goes to the others.
    With tail=drop what q puts on other tokens costs nothing. tail=bucket, a choice of kdbench, adds
    the probability of all others as one more outcome, which the teacher keeps.
Data: the dataset's responses. Cached scores are enough; for `auto`, also of the validation set.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from kdbench.divergence import forward_kl
from kdbench.errors import InputError
from kdbench.methods import Mechanism, Method, methods
from kdbench.training import Chunk, Context, Found, Objective, Preparation, Triple
from kdbench.training.calibration import calibrating_temperature
from kdbench.training.top_tokens import likeliest, likeliest_and_rest

if TYPE_CHECKING:
    import torch

_FOUND = "target_temperature"


@dataclass(frozen=True)
class TopTokens(Objective):
    """Forward KL over the teacher's likeliest tokens, both sides renormalised."""

    floor: ClassVar[float | None] = None  # 0 only at temperature 1 without smoothing
    takes_top_k = True
    top_k: int = 5
    target_temperature: float | Literal["auto"] = 1.0
    smoothing: float = 0.0
    tail: Literal["drop", "bucket"] = "drop"

    @property
    def least_top_k(self) -> int:  # type: ignore[override]
        """The tokens that it is over."""
        return self.top_k

    def begin(self, context: Context) -> None:
        """Check that the models have as many tokens."""
        _check_size(self.top_k, context.vocabulary)

    def token(self, chunk: Chunk) -> "torch.Tensor":
        """KL(p'‖q')."""
        import torch

        if self.tail == "drop":
            scores, ids = likeliest(chunk, "teacher", self.top_k)
            log_q = chunk.logits.gather(-1, ids).log_softmax(-1)
            return forward_kl(self._target(scores, chunk), log_q)
        log_p, log_q = likeliest_and_rest(chunk, "teacher", self.top_k)
        kept, rest = log_p[:, : self.top_k], log_p[:, self.top_k :]
        target = self._target(kept, chunk) + kept.logsumexp(-1, keepdim=True)
        return forward_kl(torch.cat([target, rest], -1), log_q)

    def _target(self, falling: "torch.Tensor", chunk: Chunk) -> "torch.Tensor":
        """The log of p' of the kept tokens, of which the first is the likeliest."""
        given = self.target_temperature
        temperature = chunk.schedule[_FOUND] if given == "auto" else given
        log_p = (falling / temperature).log_softmax(-1)
        if not self.smoothing:
            return log_p
        smoothed = log_p.exp() + self.smoothing / (log_p.shape[-1] - 1)
        smoothed[:, 0] = log_p[:, 0].exp() - self.smoothing
        return smoothed.log()

    def __str__(self) -> str:
        given = self.target_temperature
        written = given if given == "auto" else f"{given:g}"
        how = f"smoothing={self.smoothing:g}" if self.smoothing else f"temperature={written}"
        bucket = ", tail=bucket" if self.tail == "bucket" else ""
        return f"top_tokens_kl(top_k={self.top_k}, {how}{bucket})"


@methods.register("first")
class FIRST(Method):
    """Forward KL over the teacher's few likeliest tokens, at a calibrating temperature."""

    title: ClassVar[str] = "FIRST"
    paper: ClassVar[str] = "arXiv 2408.12168"
    cost: ClassVar[str] = "teacher forward, or none with cached scores"
    prepares_from_top_k: ClassVar[bool] = True
    family: ClassVar[str] = "logits"
    basis: ClassVar[str] = "authors' code and abstract"
    mechanism: ClassVar[Mechanism | None] = Mechanism("ece", "down", "calibration")
    top_k: int = Field(5, ge=2, description="k, number of the teacher's tokens")
    target_temperature: Annotated[float, Field(gt=0)] | Literal["auto"] = Field(
        "auto",
        description="T, divides the teacher's log-probabilities; auto: the one that calibrates it "
        "on the validation set",
    )
    smoothing: float = Field(
        0.0,
        ge=0,
        description="δ, probability that goes from the teacher's first token to the others, in "
        "place of a temperature; below 1/top_k, 0 is none",
    )
    tail: Literal["drop", "bucket"] = Field(
        "drop", description="what becomes of other tokens: nothing, or one outcome for all"
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.smoothing >= 1 / self.top_k:
            raise ValueError(
                f"smoothing={self.smoothing:g} is all that the likeliest of top_k={self.top_k} "
                f"tokens may have; give less than {1 / self.top_k:g}"
            )
        if self.smoothing and self.target_temperature != "auto":
            raise ValueError("smoothing= stands in place of target_temperature=; give one of them")
        return self

    @property
    def _searches(self) -> bool:
        return not self.smoothing and self.target_temperature == "auto"

    @property
    def prepares_with(self) -> tuple[str, ...]:  # type: ignore[override]
        """The teacher, if its temperature is to be found."""
        return ("teacher",) if self._searches else ()

    def prepare(self, preparation: Preparation) -> "Mapping[str, torch.Tensor]":
        """The temperature at which the top k are calibrated on the validation tokens among them."""
        import torch

        if not self._searches:
            return {}
        _check_size(self.top_k, preparation.vocabulary)
        scores, places = [], []
        for batch in preparation.batches(preparation.valid):
            log_p, ids = preparation.likeliest("teacher", batch, self.top_k)
            found, place = (ids == batch.targets[:, None]).max(-1)
            scores.append(log_p[found].cpu())
            places.append(place[found].cpu())
        temperature = calibrating_temperature(torch.cat(scores), torch.cat(places))
        return {_FOUND: torch.tensor(temperature, dtype=torch.float64)}

    def triple(self) -> Triple:
        """The divergence on the dataset."""
        temperature = 1.0 if self.smoothing else self.target_temperature
        objective = TopTokens(self.top_k, temperature, self.smoothing, self.tail)
        return Triple(objective, schedule=Found(_FOUND)) if self._searches else Triple(objective)


def _check_size(top_k: int, vocabulary: int) -> None:
    if top_k > vocabulary:
        raise InputError(f"top_k={top_k}: student and teacher share {vocabulary} tokens; lower it")
