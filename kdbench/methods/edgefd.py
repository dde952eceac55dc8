"""EdgeFD: clients answer the public texts that are like their own, and the answers are averaged.

Paper: EdgeFD (arXiv 2508.14769); notes of it were read: a density ratio by k-means at the clients,
    the average of in-distribution soft labels, no filter at the server.
Rounds: `local_steps` of cross-entropy of each client on its own shard; each client's `top_k`
    likeliest tokens and the rest at each position of public text; `exchange_steps` of KL(target‖q)
    there, the target the average of the clients that answer; texts that nobody answers are left
    out.
Filter: a client answers a text if its mean state of the response is no farther from the nearest of
    `centroids` centres of up to 200 of its own rows than the `quantile` of these rows are. It is
    computed by the client's model from its own shard, at each exchange.
Data: the field `shard_field` names each row's client, or is `public`. The student is the client of
    the first shard by name; all start as the student does. There is no teacher.
The log has the loss of the clients on all validation rows (`federated/clients_global_loss`) and on
    those of their own shards (`federated/clients_own_loss`), and the student's. What the method
    costs on edge devices is not measured.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from kdbench.methods import Mechanism, Method, methods
from kdbench.training import Triple
from kdbench.training.federated import ClientAnswers, FusionRule, federation

if TYPE_CHECKING:
    import torch

_ITERATIONS = 20


def distances(points: "torch.Tensor", centres: "torch.Tensor") -> "torch.Tensor":
    """The distance of each point (n, H) to the nearest of the centres (M, H), (n,)."""
    import torch

    return torch.cdist(points, centres, compute_mode="donot_use_mm_for_euclid_dist").amin(-1)


def centres_of(points: "torch.Tensor", count: int, seed: float) -> "torch.Tensor":
    """The centres of k-means, (count, H) or fewer, from points that are far from each other."""
    import torch

    centres = points[[int(seed * len(points))]]
    while len(centres) < min(count, len(points)):
        centres = torch.cat([centres, points[[int(distances(points, centres).argmax())]]])
    for _ in range(_ITERATIONS):
        nearest = torch.cdist(points, centres).argmin(-1)
        ones = torch.nn.functional.one_hot(nearest, len(centres)).to(points)
        counts = ones.sum(0)[:, None]
        centres = torch.where(counts > 0, ones.T @ points / counts.clamp(min=1), centres)
    return centres


@dataclass
class Familiar(FusionRule):
    """The average of the clients that know the text."""

    asks = True
    centroids: int = 8
    quantile: float = 0.95

    def familiar(self, own: "torch.Tensor", public: "torch.Tensor", seed: float) -> "torch.Tensor":
        """Whether each public text is as near to the centres as the client's own."""
        centres = centres_of(own, self.centroids, seed)
        limit = distances(own, centres).quantile(self.quantile)
        return distances(public, centres) <= limit

    def weights(self, answers: ClientAnswers) -> "torch.Tensor":
        """The same for all clients that are told."""
        known = answers.familiar.double()
        shares = known / known.sum(0).clamp(min=1)
        return shares[None].expand(len(shares), -1, -1)


@methods.register("edgefd")
class EdgeFD(Method):
    """Federated rounds with targets of the clients that know a text."""

    title: ClassVar[str] = "EdgeFD (adapted)"
    paper: ClassVar[str] = "EdgeFD, arXiv 2508.14769"
    cost: ClassVar[str] = "training of the other clients, exchange"
    family: ClassVar[str] = "federated"
    basis: ClassVar[str] = "third-party notes"
    adapted: ClassVar[str] = "image clients on devices; here models of texts in one run"
    data: ClassVar[str] = "a field that names each row's client or is public"
    needs_teacher: ClassVar[bool] = False
    mechanism: ClassVar[Mechanism | None] = Mechanism(
        "log:federated/clients_global_loss", "down", "clients learn what others know"
    )
    shard_field: str = Field("shard", description="column of the client, or `public`")
    clients: int = Field(4, ge=1, description="number of clients")
    local_steps: int = Field(10, ge=1, description="steps of a round on the clients' own rows")
    exchange_steps: int = Field(10, ge=1, description="steps of a round on public rows")
    top_k: int = Field(20, ge=1, description="tokens of each position that clients send")
    centroids: int = Field(8, ge=1, description="M, number of centres of a client's own texts")
    quantile: float = Field(
        0.95, gt=0, le=1, description="share of a client's own texts that count as familiar"
    )

    def triple(self) -> Triple:
        """Rounds with the rule."""
        return federation(
            Familiar(self.centroids, self.quantile),
            self.shard_field,
            self.clients,
            self.local_steps,
            self.exchange_steps,
            self.top_k,
        )
