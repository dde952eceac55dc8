"""A micro-batch and what the models give for it, each computed once."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kdbench.errors import InputError
from kdbench.training.chunk import Chunk, FrozenHead, Plan, TopK
from kdbench.training.objective import Match, Objective, Term, Whole
from kdbench.views.rollout import Batch
from kdbench.views.view import View, chunk_length

if TYPE_CHECKING:
    import torch

STUDENT = "student"


class MicroBatch:
    """The states of a micro-batch by view, and its positions in chunks.

    Args:
        batch: The responses.
        views: The views by name.
        learner: The name of the view that learns.
        schedule: The schedule's values.
        parts: The method's own modules.
        chunk: Positions in a chunk; None chooses it.
        layers: The layers of each view whose states are needed.
    """

    def __init__(
        self,
        batch: Batch,
        views: Mapping[str, View],
        learner: str = STUDENT,
        schedule: Mapping[str, float] | None = None,
        parts: Mapping[str, Any] | None = None,
        chunk: int | None = None,
        layers: Mapping[str, Collection[int]] | None = None,
    ):
        import torch

        self.batch, self.views, self.learner = batch, views, learner
        self.schedule, self.parts = schedule or {}, parts or {}
        self._learns = torch.is_grad_enabled()  # a plan runs without gradient, and may come first
        self._layers = layers or {}
        self._read: dict[str, tuple[torch.Tensor, Mapping[int, torch.Tensor]]] = {}
        self._top: dict[str, TopK] = {}
        self._heads: dict[str, FrozenHead] = {}
        self._origins = batch.origins()
        self._chunk = chunk

    def states(self, view: str) -> "torch.Tensor":
        """What a view's head is given, (N, H); with gradient for the learner alone."""
        return self._of(view)[0]

    def hidden(self, view: str, layer: int) -> "torch.Tensor":
        """The states of a layer, (N, H); with gradient for the learner alone."""
        return self._of(view)[1][layer]

    def _of(self, name: str) -> "tuple[torch.Tensor, Mapping[int, torch.Tensor]]":
        import torch

        if name not in self._read:
            view, layers = self.views[name], self._layers.get(name, ())
            with torch.set_grad_enabled(name == self.learner and self._learns):
                read = getattr(view, "read", None)
                self._read[name] = (
                    read(self.batch, layers) if read else (view.states(self.batch), {})
                )
        return self._read[name]

    def scores(self, name: str, positions: "torch.Tensor") -> "torch.Tensor | TopK":
        """The head's output of a view at some positions, or its likeliest tokens there."""
        import torch

        view = self.views[name]
        if not is_whole(view):
            if name not in self._top:
                self._top[name] = view.top_k(self.batch)  # type: ignore[attr-defined]
            return self._top[name].at(positions)
        with torch.no_grad():
            states = self.states(name)[positions]
            return raw_of(view)(states)

    def chunk_at(
        self, term: Term, plan: Mapping[str, "torch.Tensor"], places: "torch.Tensor"
    ) -> Chunk:
        """The chunk of some positions as a term's objective sees it, without gradient."""
        objective = term.objective
        views = {name: self._finished(name, places) for name in objective.views}
        hidden = {
            (view, layer): self.hidden(view, layer)[places]
            for view, layers in objective.hidden.items()
            for layer in layers
        }
        planned = {name: values[places] for name, values in plan.items()}
        logits = self._finished(self.learner, places) if objective.needs_logits else None
        targets = self.batch.targets[places]
        assert not isinstance(logits, TopK)  # noqa: S101 - the learner is a model
        heads = {name: self.head(name) for name in objective.heads}
        return Chunk(logits, views, targets, planned, self.schedule, hidden, self.parts, heads)

    def head(self, name: str) -> FrozenHead:
        """The frozen head of a view.

        Raises:
            InputError: It is not a plain linear layer.
        """
        if name not in self._heads:
            view = self.views[name]
            weights = getattr(view, "linear_head", None)
            if weights is None:
                raise InputError(
                    f"the head of the view '{name}' is no plain linear layer, and the method asks "
                    "it for logits of other states"
                )
            weight, bias = weights
            self._heads[name] = FrozenHead(weight, bias, finish_of(view))
        return self._heads[name]

    def _finished(self, name: str, places: "torch.Tensor") -> "torch.Tensor | TopK":
        scores, finish = self.scores(name, places), finish_of(self.views[name])
        if finish is None or isinstance(scores, TopK):
            return scores
        finished: torch.Tensor = finish(scores)
        return finished

    @property
    def dtype(self) -> "torch.dtype":
        """The precision of the losses: float32, or float64 for states in float64."""
        import torch

        exact = self.states(self.learner).dtype == torch.float64
        return torch.float64 if exact else torch.float32

    def logits(self, name: str) -> "torch.Tensor":
        """All logits of a view, (N, V), without chunks."""
        return self._logits_at(name, slice(None))

    def _logits_at(self, name: str, places: "torch.Tensor | slice") -> "torch.Tensor":
        import torch

        with torch.set_grad_enabled(name == self.learner and self._learns):
            return self.views[name].logits(self.states(name)[places])

    def whole(self, term: Term) -> Whole:
        """The micro-batch for an objective that sees all of it at once.

        The models run on all rows, also for a term on some: with sharding, every process must run
        them equally often, whatever rows it has.
        """
        if {row.origin for row in self.batch.rollouts} <= set(term.on or self._origins):
            return Whole(
                self.batch,
                self.states,
                self.hidden,
                self.logits,
                self.schedule,
                self.parts,
                self.head,
                self._embed,
                self.views,
            )
        positions = self.positions(term.on)
        return Whole(
            of_origins(self.batch, term.on),
            lambda view: self.states(view)[positions],
            lambda view, layer: self.hidden(view, layer)[positions],
            lambda view: self._logits_at(view, positions),
            self.schedule,
            self.parts,
            self.head,
            self._embed,
            self.views,
        )

    def _embed(self, name: str, tokens: "torch.Tensor") -> "torch.Tensor":
        import torch

        with torch.no_grad():
            embeddings: torch.Tensor = self.views[name].embed(tokens)  # type: ignore[attr-defined]
        return embeddings.to(tokens.device)

    def positions(self, on: Collection[str]) -> "torch.Tensor":
        """The positions, among the N, of responses of some origins; of all if empty. Int64."""
        import torch

        indices = [index for index, origin in enumerate(self._origins) if not on or origin in on]
        return torch.tensor(indices, dtype=torch.long, device=self.batch.device)

    def chunks(
        self, positions: "torch.Tensor", begins: "torch.Tensor | None" = None
    ) -> Iterator["torch.Tensor"]:
        """The positions in chunks.

        Args:
            positions: The positions among the N.
            begins: Where a chunk may begin, bool (N,); None for everywhere. What must stay together
                may be longer than a chunk.
        """
        size = self.chunk_size
        if not len(positions):
            return
        if begins is None or bool(begins.all()):
            yield from positions.split(size)
            return
        places = begins[positions].nonzero()[:, 0].tolist()
        first = last = 0
        for place in [*places[1:], len(positions)]:
            if place - first > size and last > first:
                yield positions[first:last]
                first = last
            last = place
        yield positions[first:]

    @property
    def chunk_size(self) -> int:
        """Positions in a chunk."""
        if self._chunk is None:
            view = self.views[self.learner]
            width = (
                getattr(view, "vocabulary", None)
                or view.logits(self.states(self.learner)[:1].detach()).shape[-1]
            )
            # A teacher with tokens of its own may have more of them.
            widest = max(getattr(one, "vocabulary", 0) for one in self.views.values())
            self._chunk = chunk_length(max(width, widest), self.batch.device)
        return self._chunk

    def plan(self, term: Term) -> dict[str, "torch.Tensor"]:
        """The values that were recorded or planned for each of the N tokens, (N,) each."""
        import torch

        mask = self.batch.mask
        with torch.no_grad():
            planned = term.objective.plan(
                Plan(self.batch, self.scalars, self.schedule, self.states)
            )
        return self.batch.recorded() | {name: values[mask] for name, values in planned.items()}

    def scalars(self, kind: str, view: str) -> "torch.Tensor":
        """A value of each token under a view, (N,), without gradient.

        Args:
            kind: `log_prob` of the response token, or `entropy` of the distribution, in nats.
            view: The name of the view.
        """
        import torch

        everything = torch.arange(len(self._origins), device=self.batch.device)
        return self.scalars_at(kind, view, everything)

    def scalars_at(self, kind: str, view: str, wanted: "torch.Tensor") -> "torch.Tensor":
        """The same at some positions."""
        import torch

        from kdbench.divergence import entropy

        given = getattr(self.views[view], "scalars", None)
        if given is not None:  # a view that has no logits over the student's tokens
            known: torch.Tensor = given(kind, self.batch)
            return known[wanted]
        chunks = [torch.empty(0, device=self.batch.device)]
        with torch.no_grad():
            for positions in self.chunks(wanted):
                logits = self.views[view].logits(self.states(view)[positions])
                log_probs = logits.log_softmax(-1)
                if kind == "entropy":
                    chunks.append(entropy(log_probs))
                else:
                    targets = self.batch.targets[positions][:, None]
                    chunks.append(log_probs.gather(-1, targets)[:, 0])
        return torch.cat(chunks[1:] or chunks)


def is_whole(view: View) -> bool:
    """Whether a view gives whole distributions, and not its likeliest tokens alone."""
    return not hasattr(view, "top_k")


def raw_of(view: View) -> Any:
    """What gives the head's output of a view: its logits, for a view without a head."""
    return getattr(view, "raw", view.logits)


def finish_of(view: View) -> Any:
    """What makes logits of `raw_of`; None if they are logits."""
    return getattr(view, "finish", None) if hasattr(view, "raw") else None


def of_origins(batch: Batch, on: Sequence[str]) -> Batch:
    """The rows of some origins; all if none is named."""
    rollouts = [row for row in batch.rollouts if not on or row.origin in on]
    return Batch(rollouts, batch.device)


def target_log_probs(batch: Batch, view: View, chunk: int | None = None) -> list[list[float]]:
    """The log-probability of each response token under a view, row by row."""
    return scalars_by_row("log_prob", batch, view, chunk)


def scalars_by_row(
    kind: str, batch: Batch, view: View, chunk: int | None = None
) -> list[list[float]]:
    """A value of each response token under a view, row by row; see `MicroBatch.scalars`."""
    flat = MicroBatch(batch, {STUDENT: view}, chunk=chunk).scalars(kind, STUDENT)
    return _by_row(flat, batch)


def divergences_by_row(
    batch: Batch, views: Mapping[str, View], view: str, chunk: int | None = None
) -> list[list[float]]:
    """KL(view‖student) at each response token, row by row."""
    return _by_row(token_values(Match(view=view).token, batch, views, (view,), chunk=chunk), batch)


def token_values(
    function: "Callable[[Chunk], torch.Tensor]",
    batch: Batch,
    views: Mapping[str, View],
    reads: Sequence[str] = ("teacher",),
    parts: Mapping[str, Any] | None = None,
    chunk: int | None = None,
) -> "torch.Tensor":
    """A function of chunks at each response token, (N,), without gradient.

    Args:
        function: Such as `token` of an objective.
        batch: The responses.
        views: The views by name.
        reads: Those that it reads beside the student.
        parts: The method's own modules.
        chunk: Positions in a chunk; None chooses it.
    """
    import torch

    with torch.no_grad():
        micro = MicroBatch(batch, views, parts=parts, chunk=chunk)
        objective = _Reads(tuple(reads))
        found = [
            function(micro.chunk_at(Term(objective), {}, places))
            for places in micro.chunks(micro.positions(()))
        ]
    return torch.cat(found)


@dataclass(frozen=True)
class _Reads(Objective):
    """Stands for what is read."""

    views: tuple[str, ...] = ()


def _by_row(values: "torch.Tensor", batch: Batch) -> list[list[float]]:
    flat = values.tolist()
    rows, start = [], 0
    for length in batch.lengths:
        rows.append(flat[start : start + length])
        start += length
    return rows
