"""The loss of a micro-batch: weighted terms, each averaged over the whole step.

The models give hidden states at the valid response positions alone. Head, softmax and objectives
run over one chunk of positions at a time, so the logits of the whole batch never exist at once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from kdbench.training.micro_batch import STUDENT, MicroBatch, is_whole, target_log_probs
from kdbench.training.objective import BEGINS, Objective, SequenceObjective, StepObjective, Term
from kdbench.training.returned import checked, refuse_without_gradient
from kdbench.training.rollouts.gap import ROLLOUT_WEIGHT
from kdbench.training.step import groups_of
from kdbench.training.together import Together, TokenTerm
from kdbench.views.rollout import Batch, Rollout, response_tokens
from kdbench.views.view import View

if TYPE_CHECKING:
    import torch

    from kdbench.training.compiled import ChunkCompiler

__all__ = ["STUDENT", "Loss", "amounts_of", "distillation_loss", "target_log_probs"]


@dataclass(frozen=True)
class Loss:
    """The loss of a micro-batch.

    Attributes:
        value: The weighted sum of the terms, a scalar with gradient.
        distillation: The same without terms on pre-training texts alone, detached.
        terms: The sum of each term over its tokens, responses or groups, by its place among the
            terms, detached; without the terms that have none here.
        diagnostics: The sum of each diagnostic and the number of its tokens.
    """

    value: "torch.Tensor"
    distillation: "torch.Tensor"
    terms: Mapping[int, "torch.Tensor"]
    diagnostics: Mapping[str, tuple["torch.Tensor", int]]


def amounts_of(terms: Sequence[Term], rollouts: Sequence[Rollout]) -> list[int]:
    """The number of tokens, responses or groups over which each term is averaged."""
    return [_amount(term, rollouts) for term in terms]


def _amount(term: Term, rollouts: Sequence[Rollout]) -> int:
    rows = [row for row in rollouts if not term.on or row.origin in term.on]
    if term.per == "token":
        return response_tokens(rows)
    return len(rows) if term.per == "sequence" else len(groups_of(rows))


def distillation_loss(
    terms: Sequence[Term],
    batch: Batch,
    views: Mapping[str, View],
    amounts: Sequence[int] | None = None,
    schedule: Mapping[str, float] | None = None,
    chunk: int | None = None,
    diagnose: bool = False,
    *,
    parts: Mapping[str, Any] | None = None,
    learner: str = STUDENT,
    compiler: "ChunkCompiler | None" = None,
) -> Loss:
    """Compute the loss of a micro-batch, normalised by the amounts of the whole step.

    Args:
        terms: What to minimise.
        batch: The micro-batch.
        views: The views by name.
        amounts: What each term is averaged over: the number of its tokens, responses or groups in
            the whole step, over all micro-batches and processes (see `amounts_of`). So the losses
            of the micro-batches add up to the mean, however they are split. None takes those of the
            batch.
        schedule: The schedule's values.
        chunk: Positions in a chunk; None chooses it from the vocabulary.
        diagnose: Whether to compute the objectives' diagnostics as well.
        parts: The method's own modules by name, which train with the student.
        learner: The name of the view that learns.
        compiler: Compiles the loss of a chunk; None compiles nothing.
    """
    amounts = amounts_of(terms, batch.rollouts) if amounts is None else amounts
    layers: dict[str, set[int]] = {}
    for term in terms:
        for view, wanted in term.objective.hidden.items():
            layers.setdefault(view, set()).update(wanted)
    micro = MicroBatch(batch, views, learner, schedule, parts, chunk, layers)
    return _Terms(micro, terms, amounts, compiler).loss(diagnose)


class _Terms:
    """The terms of a micro-batch."""

    def __init__(
        self,
        micro: MicroBatch,
        terms: Sequence[Term],
        amounts: Sequence[int],
        compiler: "ChunkCompiler | None",
    ):
        from kdbench.training.compiled import ChunkCompiler

        self._micro, self._terms, self._amounts = micro, terms, amounts
        self._compiler = compiler or ChunkCompiler(enabled=False)
        self._sums: dict[int, torch.Tensor] = {}
        self._plans: dict[int, dict[str, torch.Tensor]] = {}

    def loss(self, diagnose: bool) -> Loss:
        """The loss of all terms that apply to the micro-batch.

        All of it stands for one forward pass of the head: then DeepSpeed gathers the head's weights
        once, and as often on each process, whatever terms have rows there.
        """
        import torch

        states = self._run_models()
        inside = getattr(self._micro.views[self._micro.learner], "inside_head", None)
        if inside is None or not torch.is_grad_enabled():
            return self._loss(diagnose)
        found: list[Loss] = []

        def work() -> torch.Tensor:
            found.append(self._loss(diagnose))
            return found[0].value

        value, exact = inside(states, work), found[0].value.detach()
        if value.dtype != exact.dtype:  # FSDP2 with mixed precision rounds what a head returns
            value = value.to(exact.dtype) + (exact - value.detach())
        return replace(found[0], value=value)

    def _run_models(self) -> "torch.Tensor":
        """Run the models of all views that are needed, in one order on all processes.

        It is too late once the head, which views may share, stands for the loss.

        Returns:
            What the learner's head is given, (N, H).
        """
        micro = self._micro
        objectives = [term.objective for term in self._terms if _amount(term, micro.batch.rollouts)]
        for name in sorted({n for one in objectives for n in (*one.views, *one.hidden)}):
            if is_whole(micro.views[name]):
                micro.states(name)
        return micro.states(micro.learner)

    def _loss(self, diagnose: bool) -> Loss:
        micro = self._micro
        here = [
            (key, term)
            for key, term in enumerate(self._terms)
            if _amount(term, micro.batch.rollouts) and term.weight_at(micro.schedule)
        ]
        values = [self._of_step(key, term) for key, term in here if _is_step(term)]
        values += self._of_tokens([(key, term) for key, term in here if not _is_step(term)])
        if all(_is_step(term) for _, term in here):  # no pass over chunks, which reads all weights
            value = micro.views[micro.learner].logits(micro.states(micro.learner)[:1]).sum() * 0.0
            values.append(value)  # processes share the gradients of every weight, if of zero
        value = sum(values[1:], values[0])
        distillation = value.detach() * 0.0
        for key, total in self._sums.items():
            if self._terms[key].on != ("pretraining",):
                distillation = distillation + self._factor(key) * total
        diagnostics: dict[str, tuple[torch.Tensor, int]] = {}
        for key, term in here if diagnose else ():
            diagnostics |= self._diagnostics(key, term)
        return Loss(value, distillation, self._sums, diagnostics)

    def _factor(self, key: int) -> float:
        return self._terms[key].weight_at(self._micro.schedule) / self._amounts[key]

    def _of_step(self, key: int, term: Term) -> "torch.Tensor":
        import torch

        assert isinstance(term.objective, StepObjective)  # noqa: S101 - for the type checker
        function = f"{type(term.objective).__name__}.step"
        total = checked(term.objective.step(self._micro.whole(term)), (), function)
        if torch.is_grad_enabled():
            refuse_without_gradient(total, function)
        self._sums[key] = total.detach()
        return total * self._factor(key)

    def _of_tokens(self, terms: "Sequence[tuple[int, Term]]") -> "list[torch.Tensor]":
        """The terms that are sums over tokens, in one pass over the chunks."""
        from kdbench.training.fused import ChunkedPass

        by_origin: dict[frozenset[str], list[TokenTerm]] = {}
        values: list[torch.Tensor] = []
        for key, term in terms:
            if isinstance(term.objective, SequenceObjective):
                token_term, of_parts = self._linearised(key, term)
                values.append(of_parts * self._factor(key))
            else:
                token_term = self._token_term(key, term)
            by_origin.setdefault(frozenset(term.on), []).append(token_term)
        if not by_origin:
            return []
        together = [Together(self._micro.positions(on), some) for on, some in by_origin.items()]
        chunked = ChunkedPass(self._micro, together, self._compiler)
        values.append(chunked.value())
        for key, total in chunked.sums.items():
            if key in self._sums:  # of whole responses; the pass has only the right gradient
                values.append(self._factor(key) * (self._sums[key] - total))
            else:
                self._sums[key] = total
        return values

    def _token_term(self, key: int, term: Term) -> TokenTerm:
        plan, share = self._plan(key, term), self._share(term)
        if term.objective.weighs_rollouts and ROLLOUT_WEIGHT in plan:
            weight = plan[ROLLOUT_WEIGHT].nan_to_num(1.0).to(self._micro.dtype)
            share = weight if share is None else share * weight
        return TokenTerm(key, term.objective, plan, share, self._factor(key))

    def _linearised(self, key: int, term: Term) -> "tuple[TokenTerm, torch.Tensor]":
        from kdbench.training.sequences import linearised

        linear = linearised(self._micro, term)
        self._sums[key] = linear.total
        token_term = TokenTerm(key, linear.objective, linear.plan, None, self._factor(key))
        return token_term, linear.of_parts

    def _plan(self, key: int, term: Term) -> "dict[str, torch.Tensor]":
        if key not in self._plans:
            self._plans[key] = self._micro.plan(term)
        return self._plans[key]

    def _share(self, term: Term) -> "torch.Tensor | None":
        """Each token's factor in the sum of a term, (N,): its weight, and what `per` makes of it.

        None if all are 1.
        """
        import torch

        batch = self._micro.batch
        if term.per == "token":
            return batch.weights
        rows = [row for row in batch.rollouts if not term.on or row.origin in term.on]
        of_group = {id(row): len(group) for group in groups_of(rows) for row in group}
        shares = [
            row.weight
            / len(row.response_ids)
            / (of_group.get(id(row), 1) if term.per == "group" else 1)
            for row in batch.rollouts
            for _ in row.response_ids
        ]
        return torch.tensor(shares, device=batch.device, dtype=self._micro.dtype)

    def _diagnostics(self, key: int, term: Term) -> "dict[str, tuple[torch.Tensor, int]]":
        """The sum of each diagnostic over a term's positions, and their number."""
        import torch

        if type(term.objective).diagnostics is Objective.diagnostics:
            return {}
        plan, sums = self._plan(key, term), dict[str, torch.Tensor]()
        positions = self._micro.positions(term.on)
        with torch.no_grad():
            for places in self._micro.chunks(positions, plan.get(BEGINS)):
                chunk = self._micro.chunk_at(term, plan, places)
                for name, values in term.objective.diagnostics(chunk).items():
                    sums[name] = sums.get(name, torch.zeros_like(values.sum())) + values.sum()
        return {name: (total, len(positions)) for name, total in sums.items()}


def _is_step(term: Term) -> bool:
    return isinstance(term.objective, StepObjective)
