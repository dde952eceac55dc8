"""Rounds: who learns what in a step, and when clients exchange what they expect."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from kdbench.errors import InputError
from kdbench.training.federated.clients import Client, SoftLabels
from kdbench.training.federated.exchange import ClientAnswers, FusionRule, targets
from kdbench.training.objective import CrossEntropy, Match, Term
from kdbench.training.schedule import Schedule, ValidationSignals
from kdbench.training.source import Draw, Source, sample_without_repetition
from kdbench.training.triple import Triple
from kdbench.views.rollout import Batch, Example, Rollout, of_dataset
from kdbench.views.view import View

if TYPE_CHECKING:
    import torch

    from kdbench.training.chunk import TopK
    from kdbench.training.context import Context

_OWN_TEXTS = 200  # texts of its shard from which a client knows what is familiar


def federation(
    rule: FusionRule, name: str, clients: int, local_steps: int, exchange_steps: int, top_k: int
) -> Triple:
    """What a federated method trains with.

    Args:
        rule: How targets are made of answers.
        name: The field of the shard; its value `public` marks the public rows.
        clients: The number of clients.
        local_steps: Steps of a round on the clients' own text.
        exchange_steps: Steps of a round on public text.
        top_k: Tokens of each position that clients and server send.
    """
    told = [SoftLabels(f"told-{number}") for number in range(clients)]
    source = FromShards(rule, name, local_steps, exchange_steps, top_k, told)
    others = [
        Client(f"client-{number}", _terms(number), number=number, drawn=source.drawn)
        for number in range(1, clients)
    ]
    return Triple(_terms(0), source, ShardReport(name, clients), companions=[*told, *others])


def _terms(client: int) -> list[Term]:
    """Its own responses, and what it was told about public text."""
    return [
        Term(CrossEntropy(), on=("dataset",)),
        Term(Match(view=f"told-{client}"), on=("public",)),
    ]


def shards_of(examples: Sequence[Example], name: str) -> dict[str, list[Example]]:
    """The rows of each client by its shard, in the order of their names, without public rows."""
    shards: dict[str, list[Example]] = {}
    for example in examples:
        if (shard := str(example.field(name))) != "public":
            shards.setdefault(shard, []).append(example)
    return dict(sorted(shards.items()))


@dataclass
class FromShards(Source):
    """Each client's own rows in the local steps of a round, and public rows in the others.

    A single client has nobody to ask, and has local steps alone.

    Attributes:
        rule: How targets are made of answers.
        name: The field of the shard.
        local_steps: Steps of a round on the clients' own text.
        exchange_steps: Steps of a round on public text.
        top_k: Tokens of each position that are sent.
        told: Where the targets of each client are put.
        round: The ids of the public rows of this round, in the order of its steps.
        drawn: The rollouts of this step by client.
    """

    origins = ("dataset", "public")
    rule: FusionRule
    name: str
    local_steps: int
    exchange_steps: int
    top_k: int
    told: Sequence[SoftLabels] = field(repr=False)
    round: list[str] = field(default_factory=list, init=False, repr=False)
    drawn: dict[int, list[Rollout]] = field(default_factory=dict, init=False, repr=False)
    _context: "Context | None" = field(default=None, init=False, repr=False)

    @property
    def fields(self) -> tuple[str, ...]:  # type: ignore[override]
        """The shard."""
        return (self.name,)

    @property
    def gives_samples(self) -> bool:
        """All responses are those of rows."""
        return False

    def check(self, train: Sequence[Example]) -> None:
        """Check that there are as many shards as clients, and public rows.

        Raises:
            InputError: There are not.
        """
        shards, clients = shards_of(train, self.name), len(self.told)
        if len(shards) != clients:
            raise InputError(
                f"clients={clients}: the field '{self.name}' of the training rows has "
                f"{len(shards)} values besides 'public' ({', '.join(shards) or 'none'}); pass "
                f"clients={len(shards)}"
            )
        if clients > 1 and not any(str(row.field(self.name)) == "public" for row in train):
            raise InputError(
                f"no training row has {self.name}=public: clients exchange what they expect there"
            )

    def begin(self, context: "Context") -> None:
        """Keep the models."""
        self._context = context

    def rollouts(self, draw: Draw) -> list[Rollout]:
        """What the student learns; that of the other clients is put into `drawn`."""
        place = draw.step % (self.local_steps + self.exchange_steps)
        alone = len(self.told) == 1
        if place < self.local_steps or alone:
            self._draw_own(draw)
        else:
            if place == self.local_steps:
                self._exchange(draw)
            self._draw_public(draw, place - self.local_steps)
        return self.drawn[0]

    def _draw_own(self, draw: Draw) -> None:
        size, mine = draw.size * draw.processes, _mine(draw)
        for client, rows in enumerate(shards_of(self._started.train, self.name).values()):
            drawn = _some(rows, size, draw, f"client {client}")
            self.drawn[client] = [of_dataset(row) for row in drawn[mine]]

    def _draw_public(self, draw: Draw, step: int) -> None:
        known = {row.id: row for row in self._started.train}
        start, size = step * draw.size * draw.processes, len(self.round)
        numbers = range(start, start + draw.size * draw.processes)[_mine(draw)]
        rows = [known[self.round[number % size]] for number in numbers[:size]]
        for client, told in enumerate(self.told):
            self.drawn[client] = [_public(row) for row in rows if row.id in told.labels]

    def _exchange(self, draw: Draw) -> None:
        """Ask all clients about the public texts of the round, and tell each the targets."""
        public = [row for row in self._started.train if str(row.field(self.name)) == "public"]
        size = self.exchange_steps * draw.size * draw.processes
        rows = _some(public, size, draw, "public")
        self.round = [row.id for row in rows]
        texts = [_public(row) for row in rows]
        answers = self._answers(texts, draw)
        weights = self.rule.weights(answers)
        for told, found in zip(self.told, targets(answers, weights, self.top_k), strict=True):
            pairs = zip(rows, found, strict=True)
            told.tell({row.id: top for row, top in pairs if top is not None})
        own = weights.diagonal(dim1=0, dim2=1).sum() / weights.sum().clamp(min=1e-9)
        draw.note("federated/own_weight", float(own))
        draw.note("federated/familiar", float(answers.familiar.float().mean()))

    def _answers(self, texts: Sequence[Rollout], draw: Draw) -> ClientAnswers:
        """What each client says, computed by its own model from its own shard and public text."""
        import torch

        tokens, familiar = [], []
        views = [self._started.gradients.student]
        views += [self._started.views[f"client-{n}"] for n in range(1, len(self.told))]
        shards = shards_of(self._started.train, self.name).values()
        self._started.student.eval()
        for client, (view, rows) in enumerate(zip(views, shards, strict=True)):
            answered, states = self._asked(view, texts)
            tokens.append(answered)
            own = states[:0]
            if self.rule.asks:
                some = _some(rows, _OWN_TEXTS, draw, f"own {client}")
                own = self._asked(view, [of_dataset(row) for row in some])[1]
            familiar.append(self.rule.familiar(own, states, draw.uniform(f"client {client}")))
        return ClientAnswers(tokens, torch.stack(familiar), self._started.vocabulary)

    def _asked(self, view: View, texts: Sequence[Rollout]) -> "tuple[list[TopK], torch.Tensor]":
        """A client's likeliest tokens of each text, and its mean states, (texts, H)."""
        import torch

        from kdbench.training.chunk import TopK

        found, means, size = [], [], self._started.micro_batch_size
        with torch.no_grad():
            for start in range(0, len(texts), size):
                batch = Batch(texts[start : start + size], self._started.device)
                states = view.states(batch)
                top = TopK.of(view.logits(states).log_softmax(-1), self.top_k)
                known = (top.ids, top.log_p, top.log_rest)
                columns = [each.cpu().split(batch.lengths) for each in known]
                found += [TopK(*row) for row in zip(*columns, strict=True)]
                means += [row.float().mean(0).cpu() for row in states.split(batch.lengths)]
        return found, torch.stack(means)

    @property
    def _started(self) -> "Context":
        assert self._context is not None  # noqa: S101 - it has begun
        return self._context

    def state(self) -> dict[str, Any]:
        """The public rows of the round."""
        return {"round": self.round}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from a state."""
        self.round = list(state["round"])

    def __str__(self) -> str:
        return f"shards by {self.name}, rounds of {self.local_steps}+{self.exchange_steps} steps"


def _public(example: Example) -> Rollout:
    return replace(of_dataset(example), origin="public")


def _some(rows: Sequence[Example], count: int, draw: Draw, what: str) -> list[Example]:
    """Rows that are drawn alike on all processes."""
    return sample_without_repetition(rows, count, lambda name: draw.uniform(f"{what} {name}"))


def _mine(draw: Draw) -> slice:
    """This process's part of a whole step."""
    return slice(draw.process * draw.size, (draw.process + 1) * draw.size)


@dataclass
class ShardReport(Schedule):
    """Logs the clients' validation losses on all rows, and on those of their own shards.

    Attributes:
        domain: The field of the shard.
        clients: The number of clients.
    """

    domain: str | None = "shard"
    clients: int = 1
    _shards: list[str] = field(default_factory=list, init=False, repr=False)
    _context: "Context | None" = field(default=None, init=False, repr=False)

    @property
    def views(self) -> tuple[str, ...]:  # type: ignore[override]
        """The other clients."""
        return tuple(f"client-{number}" for number in range(1, self.clients))

    def check(self, train: Sequence[Example], valid: Sequence[Example]) -> None:
        """Check that each shard can be validated.

        Raises:
            InputError: A shard has no validation row.
        """
        name = self.domain or ""
        if missing := sorted(set(shards_of(train, name)) - set(shards_of(valid, name))):
            raise InputError(
                f"no validation row has {name}={missing[0]}, as training rows have; add one, or "
                "raise validation_limit="
            )

    def begin(self, context: "Context") -> None:
        """Find the shards."""
        self._context, self._shards = context, list(shards_of(context.train, self.domain or ""))

    def after_validation(self, signals: ValidationSignals) -> None:
        """Log both."""
        assert self._context is not None  # noqa: S101 - it has begun
        for view, shard in zip(("student", *self.views), self._shards, strict=True):
            everything, own = signals.by_view[view], signals.by_domain[view][shard]
            names = ["clients"] + (["student"] if view == "student" else [])
            for name in names:
                self._context.note(f"federated/{name}_global_loss", everything)
                self._context.note(f"federated/{name}_own_loss", own)

    def __str__(self) -> str:
        return "constant"
