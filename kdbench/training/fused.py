"""Terms over the chunks of a micro-batch, with the gradients taken in the forward pass.

A chunk's logits exist once: its loss is differentiated at once, and only the gradients of states,
head and parts are kept for the backward pass, as in the fused losses of Liger Kernel (Hsu et al.
2024, arXiv 2410.10989). So nothing is recomputed, and the memory is that of one chunk and of the
head's gradient.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import torch
from torch.autograd.function import once_differentiable

from kdbench.training.chunk import Chunk, FrozenHead, TopK
from kdbench.training.compiled import ChunkCompiler
from kdbench.training.heads import TrainedHead, gradients_of, trained_head, zeros_for
from kdbench.training.micro_batch import MicroBatch, finish_of, raw_of
from kdbench.training.objective import Objective
from kdbench.training.returned import checked, refuse_without_gradient
from kdbench.training.together import Layer, Together, TokenTerm
from kdbench.views.view import LayeredView

Finish = Callable[[torch.Tensor], torch.Tensor]
ChunkGradients = list[torch.Tensor | None]


class ChunkedPass:
    """One pass over the chunks of a micro-batch.

    Args:
        micro: The micro-batch.
        together: The terms by their positions.
        compiler: Compiles the loss of a chunk.

    Attributes:
        sums: The sum of each term, detached, by its key.
    """

    def __init__(self, micro: MicroBatch, together: Sequence[Together], compiler: ChunkCompiler):
        self._micro, self._together, self._compiler = micro, together, compiler
        self._learner = micro.views[micro.learner]
        self.sums: dict[int, torch.Tensor] = {}
        layers = {layer for group in together for layer in group.layers}
        self._own_layers = sorted(layer for layer in layers if layer[0] == micro.learner)
        modules = micro.parts.values()
        trained = [p for module in modules for p in module.parameters() if p.requires_grad]
        terms = [term for group in together for term in group.terms]
        borrowed = [parameter for term in terms for parameter in term.objective.borrowed]
        self._parts: list[torch.Tensor] = list(dict.fromkeys([*trained, *borrowed]))

    def value(self) -> torch.Tensor:
        """The weighted sum of the terms, a scalar with gradient."""
        states = self._micro.states(self._micro.learner)
        hidden = [self._micro.hidden(*layer) for layer in self._own_layers]
        if not torch.is_grad_enabled() or not hasattr(self._learner, "head_parameters"):
            return self._in_graph(states, hidden)
        head = trained_head(cast("LayeredView", self._learner))
        inputs = (states, *hidden, *head.parameters, *self._parts)
        value: torch.Tensor = _GradientsNow.apply(self, head, len(hidden), *inputs)
        return value

    def _in_graph(self, states: torch.Tensor, hidden: Sequence[torch.Tensor]) -> torch.Tensor:
        """The value by autograd's own graph, if there is one: for views without a head."""
        value = torch.zeros((), device=states.device)
        for group, places, padding in self._chunks():
            raw = raw_of(self._learner)(states[places]) if group.needs_logits else None
            own = [layer[places] for layer in hidden]
            sums = self._chunk_sums(group, places, padding, raw, own)
            value = value + self._note(group, sums, detached=False)
        return value

    def differentiate(
        self, head: TrainedHead, states: torch.Tensor, hidden: Sequence[torch.Tensor]
    ) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """The value, and its gradients.

        Args:
            head: The student's head, which adds up its own gradients.
            states: What it is given, (N, H).
            hidden: The states of the student's layers that are needed, (N, H) each.

        Returns:
            The value, and the gradients with respect to states, layers, head and parts.
        """
        value = torch.zeros((), device=states.device)
        of_inputs = [torch.zeros_like(tensor) for tensor in (states, *hidden)]
        of_parts = [zeros_for(parameter) for parameter in self._parts]
        for chunk in self._chunks():
            try:
                sums, of_chunk, own_parts = self._differentiated(*chunk, head, states, hidden)
            except RuntimeError as error:
                if not self._compiler.give_up(error):
                    raise
                sums, of_chunk, own_parts = self._differentiated(*chunk, head, states, hidden)
            group, places, _ = chunk
            for total, gradient in zip(of_inputs, of_chunk, strict=True):
                if gradient is not None:
                    total.index_add_(0, places, gradient.to(total.dtype))
            for total, gradient in zip(of_parts, own_parts, strict=True):
                if gradient is not None:
                    total.add_(gradient)
            value = value + self._note(group, sums)
        return value, [*of_inputs, *head.gradients, *of_parts]

    def _differentiated(
        self,
        group: Together,
        places: torch.Tensor,
        padding: int,
        head: TrainedHead,
        states: torch.Tensor,
        hidden: Sequence[torch.Tensor],
    ) -> tuple[Sequence[torch.Tensor], ChunkGradients, ChunkGradients]:
        """The sums of a chunk, and its gradients to states and layers, and to the parts."""
        with torch.enable_grad():
            raw = head.raw(states[places]) if group.needs_logits else None
            own = [layer[places].detach().requires_grad_() for layer in hidden]
            sums = self._chunk_sums(group, places, padding, raw, own)
        for term, total in zip(group.terms, sums, strict=True):
            refuse_without_gradient(total, f"{type(term.objective).__name__}.token")
        of_head = [] if raw is None else head.leaves
        leaves = [*of_head, *own, *self._parts]
        found = gradients_of(sums, [term.factor for term in group.terms], leaves)
        ends = len(of_head), len(of_head) + len(own)
        of_states = None if raw is None else head.take(found[: ends[0]])
        return sums, [of_states, *found[ends[0] : ends[1]]], found[ends[1] :]

    def _chunks(self) -> Iterator[tuple[Together, torch.Tensor, int]]:
        """The chunks of each group of terms; of one length, with padding, if they are compiled."""
        size, pads = self._micro.chunk_size, self._compiler.enabled
        for group in self._together:
            for places in self._micro.chunks(group.positions, group.begins):
                padding = max(0, size - len(places)) if pads else 0
                padded = torch.cat([places, places[:1].expand(padding)]) if padding else places
                yield group, padded, padding

    def _note(
        self, group: Together, sums: Sequence[torch.Tensor], detached: bool = True
    ) -> torch.Tensor:
        """Keep the sums of a chunk; return its share of the loss."""
        for term, total in zip(group.terms, sums, strict=True):
            self.sums[term.key] = self.sums.get(term.key, 0.0) + total.detach()
        kept = [total.detach() if detached else total for total in sums]
        shares = [term.factor * total for term, total in zip(group.terms, kept, strict=True)]
        share: torch.Tensor = sum(shares[1:], shares[0])
        return share

    def _chunk_sums(
        self,
        group: Together,
        places: torch.Tensor,
        padding: int,
        raw: torch.Tensor | None,
        own: Sequence[torch.Tensor],
    ) -> Sequence[torch.Tensor]:
        """The sum of each term over a chunk, a scalar with gradient each."""
        micro, views = self._micro, group.views
        named = (micro.learner, *views, *group.heads)
        finishes = {name: finish_of(micro.views[name]) for name in named}
        function = partial(
            _sums_of_chunk,
            [term.objective for term in group.terms],
            finishes,
            micro.learner,
        )
        states = dict(zip(self._own_layers, own, strict=True))
        others = [layer for layer in group.layers if layer[0] != micro.learner]
        states |= {layer: micro.hidden(*layer)[places] for layer in others}
        inputs = _ChunkInputs(
            raw=raw,
            scores={name: _unwrapped(micro.scores(name, places)) for name in views},
            targets=micro.batch.targets[places],
            plans=[
                {name: values[places] for name, values in term.plan.items()} for term in group.terms
            ],
            shares=[_share(term, places, padding, self._compiler.enabled) for term in group.terms],
            hidden=states,
            schedule=dict(micro.schedule),
            parts=dict(micro.parts),
            heads={name: _weights(micro.head(name)) for name in group.heads},
        )
        objectives = tuple(id(term.objective) for term in group.terms)
        key = objectives, tuple(finishes.items()), raw is None
        sums: Sequence[torch.Tensor] = self._compiler(key, function, *vars(inputs).values())
        return sums


@dataclass(frozen=True)
class _ChunkInputs:
    """The inputs of a chunk's function, in its order: plain containers, which can be compiled."""

    raw: torch.Tensor | None
    scores: Mapping[str, Any]
    targets: torch.Tensor
    plans: Sequence[Mapping[str, torch.Tensor]]
    shares: Sequence[torch.Tensor | None]
    hidden: Mapping[Layer, torch.Tensor]
    schedule: Mapping[str, float]
    parts: Mapping[str, Any]
    heads: Mapping[str, Any]


def _sums_of_chunk(
    objectives: Sequence[Objective],
    finishes: Mapping[str, Finish | None],
    learner: str,
    raw: torch.Tensor | None,
    scores: Mapping[str, Any],
    targets: torch.Tensor,
    plans: Sequence[Mapping[str, torch.Tensor]],
    shares: Sequence[torch.Tensor | None],
    hidden: Mapping[Layer, torch.Tensor],
    schedule: Mapping[str, float],
    parts: Mapping[str, Any],
    heads: Mapping[str, Any],
) -> list[torch.Tensor]:
    """The sum of each objective over a chunk: one function of tensors, so that it compiles."""
    logits = None if raw is None else _finished(raw, finishes[learner])
    views = {
        name: TopK(*given) if isinstance(given, tuple) else _finished(given, finishes[name])
        for name, given in scores.items()
    }
    asked = {name: FrozenHead(w, b, finishes[name]) for name, (w, b) in heads.items()}
    whole = Chunk(logits, views, targets, {}, schedule, hidden, parts, asked)
    sums = []
    for objective, plan, share in zip(objectives, plans, shares, strict=True):
        function = f"{type(objective).__name__}.token"
        losses = checked(objective.token(whole.with_plan(plan)), (len(targets),), function)
        sums.append((losses if share is None else losses * share).sum())
    return sums


def _finished(raw: torch.Tensor, finish: Finish | None) -> torch.Tensor:
    return raw if finish is None else finish(raw)


def _weights(head: FrozenHead) -> tuple[torch.Tensor, torch.Tensor | None]:
    return head.weight, head.bias


def _unwrapped(scores: torch.Tensor | TopK) -> Any:
    if not isinstance(scores, TopK):
        return scores
    return (scores.ids, scores.log_p, scores.log_rest, scores.target)


def _share(
    term: TokenTerm, places: torch.Tensor, padding: int, always: bool
) -> torch.Tensor | None:
    """Each position's factor in a term's sum; 0 for padding.

    None if all are 1; never if `always`, as a function of other inputs is compiled again.
    """
    if term.share is None and not padding and not always:
        return None
    share = torch.ones(len(places), device=places.device)
    if term.share is not None:
        share = term.share[places].clone()
    if padding:
        share[-padding:] = 0
    return share


class _GradientsNow(torch.autograd.Function):
    """The value of a pass, whose gradients are ready when it returns."""

    @staticmethod
    def forward(
        ctx: Any, chunked: ChunkedPass, head: TrainedHead, layers: int, *inputs: torch.Tensor
    ) -> torch.Tensor:
        """Compute the value and the gradients."""
        states, hidden = inputs[0], inputs[1 : 1 + layers]
        value, ctx.gradients = chunked.differentiate(head, states, hidden)
        ctx.dtypes = [tensor.dtype for tensor in inputs]
        return value

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_value: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """The gradients, times that of the value."""
        gradients, ctx.gradients = ctx.gradients, None
        if gradients is None:
            raise RuntimeError("the gradients of a loss can be taken once")
        scaled = [gradient.mul_(of_value.to(gradient.dtype)) for gradient in gradients]
        pairs = zip(scaled, ctx.dtypes, strict=True)
        return None, None, None, *(gradient.to(dtype) for gradient, dtype in pairs)
