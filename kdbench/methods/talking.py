"""Talking models: student and teacher exchange a message that both can read.

Paper: Talking Models (arXiv 2310.03188); abstract and public reviews were read, there is no code.
    Rejected at ICLR; on images and recommendations.
Objective: KL(p‖q) and, with the teacher's state h_T, the student's h_S and linear maps E (state to
    message) and D (message to state) of each, m = E_T h_T and ĥ_S = D_S m:
      interaction ‖h_S - ĥ_S‖²/d_S, message consistency ‖E_S D_S m - m‖²/d_m,
      state consistency ‖D_T E_T h_T - h_T‖²/d_T.
    With all maps 0 the interaction is ‖h_S‖²/d_S, and its gradient shrinks the student's states;
    the state consistency keeps the teacher's maps from there, and the KL the states.
Adapted: one exchange, on the states that the heads are given. The paper's further rounds run the
    teacher's upper layers on decoded messages; they are left out.
Control: `message_weight=0 state_weight=0 message_width=128` is a projector of the teacher's states
    alone; for widths of 64 and 128 it has as many parameters as the four maps.
Data: the dataset's responses.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from kdbench.methods import Mechanism, Method, methods
from kdbench.training import Chunk, Match, Objective, Part, Sizes, Term, Triple

if TYPE_CHECKING:
    import torch

_LAST: Mapping[str, tuple[int, ...]] = {"student": (-1,), "teacher": (-1,)}


@dataclass(frozen=True)
class Exchange(Objective):
    """The three losses of a single exchange."""

    views = ()
    hidden = _LAST
    needs_logits: ClassVar[bool] = False
    floor: ClassVar[float | None] = None
    interaction_weight: float = 1.0
    message_weight: float = 1.0
    state_weight: float = 1.0

    def token(self, chunk: Chunk) -> "torch.Tensor":
        """Their weighted sum."""
        interaction, message, state = self.losses(chunk)
        return (
            self.interaction_weight * interaction
            + self.message_weight * message
            + self.state_weight * state
        )

    def losses(self, chunk: Chunk) -> "tuple[torch.Tensor, torch.Tensor, torch.Tensor]":
        """Interaction, message consistency and state consistency, (n,) each."""
        own, its, maps = chunk.hidden("student", -1), chunk.hidden("teacher", -1), chunk.parts
        message = maps["teacher_encoder"](its)
        decoded = maps["student_decoder"](message)
        back, again = maps["student_encoder"](decoded), maps["teacher_decoder"](message)
        pairs = ((own, decoded), (back, message), (again, its))
        of_exchange, of_message, of_state = [(a - b).square().mean(-1) for a, b in pairs]
        return of_exchange, of_message, of_state

    def diagnostics(self, chunk: Chunk) -> Mapping[str, "torch.Tensor"]:
        """Each of them."""
        names = ("talking/interaction", "talking/message", "talking/state")
        return dict(zip(names, self.losses(chunk), strict=True))

    def __str__(self) -> str:
        return "exchange"


def _linear(view: str, encodes: bool, message: int) -> "Callable[[Sizes], torch.nn.Module]":
    """What builds a map between a view's states and messages."""

    def build(sizes: Sizes) -> "torch.nn.Module":
        import torch

        ends = (sizes.widths[view], message) if encodes else (message, sizes.widths[view])
        return torch.nn.Linear(*ends, bias=False)

    return build


@methods.register("talking")
class Talking(Method):
    """Forward KL, and states that both models can read from a message."""

    title: ClassVar[str] = "Talking Models (adapted)"
    paper: ClassVar[str] = "arXiv 2310.03188"
    cost: ClassVar[str] = "teacher forward"
    family: ClassVar[str] = "states"
    basis: ClassVar[str] = "abstract and public reviews"
    adapted: ClassVar[str] = "a single exchange on last states, linear maps"
    mechanism: ClassVar[Mechanism | None] = Mechanism(
        "fkl@ref", "down", "KL(p‖q), against a projector of as many parameters"
    )
    interaction_weight: float = Field(1.0, ge=0, description="weight of the decoded message")
    message_weight: float = Field(1.0, ge=0, description="weight of the message's consistency")
    state_weight: float = Field(1.0, ge=0, description="weight of the teacher's own consistency")
    message_width: int = Field(64, ge=1, description="numbers in a message")
    part_rate: float = Field(1.0, ge=0, description="learning rate of the maps / student's")

    def triple(self) -> Triple:
        """The KL and the exchange on the dataset, with the four maps."""
        weights = (self.interaction_weight, self.message_weight, self.state_weight)
        terms = [Term(Match()), Term(Exchange(*weights), 1.0 if any(weights) else 0.0)]
        parts = {
            f"{view}_{kind}": Part(
                _linear(view, kind == "encoder", self.message_width), self.part_rate
            )
            for view in ("student", "teacher")
            for kind in ("encoder", "decoder")
        }
        return Triple(terms, parts=parts)
