"""KnFu: clients fuse each other's knowledge, more of those that agree with them.

Paper: KnFu (arXiv 2403.11892); notes of it were read: local training, knowledge extraction on a
    transfer set, effective fusion, fine-tuning. The weight is kdbench's, in their spirit.
Rounds: `local_steps` of cross-entropy of each client on its own shard; each client's `top_k`
    likeliest tokens and the rest at each position of public text; `exchange_steps` of KL(target‖q)
    there, target_k = Σ_j w_kj p_j.
Weight: w_kj ∝ exp(-`sharpness` d_kj), d_kj the mean of KL(p_k‖p_j) over the tokens of the public
    text, with a client's own distribution among them. 0 is the plain average, and a large sharpness
    local training. Tokens that a client did not send share what is left of its probability.
Data: the field `shard_field` names each row's client, or is `public`. The student is the client of
    the first shard by name; all start as the student does. There is no teacher.
The log has the loss of the clients on all validation rows (`federated/clients_global_loss`) and on
    those of their own shards (`federated/clients_own_loss`), and the student's.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from kdbench.methods import Mechanism, Method, methods
from kdbench.training import Triple
from kdbench.training.federated import ClientAnswers, FusionRule, federation

if TYPE_CHECKING:
    import torch


@dataclass
class Agreeing(FusionRule):
    """Clients weigh by how much they agree with the one that is told."""

    sharpness: float = 10.0

    def weights(self, answers: ClientAnswers) -> "torch.Tensor":
        """w_kj of each text."""
        of_clients = (-self.sharpness * answers.divergences()).softmax(-1)
        return of_clients[..., None].expand(-1, -1, answers.familiar.shape[-1])


@methods.register("knfu")
class KnFu(Method):
    """Federated rounds with targets of agreeing clients."""

    title: ClassVar[str] = "KnFu (adapted)"
    paper: ClassVar[str] = "KnFu, arXiv 2403.11892"
    cost: ClassVar[str] = "training of the other clients, exchange"
    family: ClassVar[str] = "federated"
    basis: ClassVar[str] = "third-party notes"
    adapted: ClassVar[str] = "image clients; here models of texts in one run, with kdbench's weight"
    data: ClassVar[str] = "a field that names each row's client or is public"
    needs_teacher: ClassVar[bool] = False
    mechanism: ClassVar[Mechanism | None] = Mechanism(
        "log:federated/clients_own_loss", "down", "clients keep what they know of their own shard"
    )
    shard_field: str = Field("shard", description="column of the client, or `public`")
    clients: int = Field(4, ge=1, description="number of clients")
    local_steps: int = Field(10, ge=1, description="steps of a round on the clients' own rows")
    exchange_steps: int = Field(10, ge=1, description="steps of a round on public rows")
    top_k: int = Field(20, ge=1, description="tokens of each position that clients send")
    sharpness: float = Field(
        10.0, ge=0, description="β, how fast weights fall with disagreement; 0 is the average"
    )

    def triple(self) -> Triple:
        """Rounds with the rule."""
        return federation(
            Agreeing(self.sharpness),
            self.shard_field,
            self.clients,
            self.local_steps,
            self.exchange_steps,
            self.top_k,
        )
