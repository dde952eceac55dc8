"""Losses of groups of tokens, for teachers whose tokenizer may be another one.

A group is the shortest piece of a response that begins and ends at the same byte in the tokens of
both sides. Its distribution is that of one of its tokens times the probability of the others, by
the chain rule, and is not normalised. With equal tokenizers every token is a group of its own.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from kdbench.training.aligned import AlignedView
from kdbench.training.chunk import Chunk, Plan
from kdbench.training.context import Context
from kdbench.training.objective import BEGINS, Objective
from kdbench.views.reading import Way

if TYPE_CHECKING:
    import torch

_WEIGHT, _COUNTS, _SINGLE = "weight of the group", "its place", "one token on each side"
_OTHERS, _TEXT = "log p of its other tokens", "log p of its text"


@dataclass(frozen=True)
class Sides:
    """The distributions of n groups, each not normalised, as a loss of groups reads them.

    Attributes:
        log_p: The teacher's log-probabilities of one token, (n, V of the teacher).
        log_q: The student's, (n, V), with gradient.
        log_p_others: The log-probability of the group's other tokens, (n,).
        log_q_others: The same under the student, (n,), with gradient.
        single: Whether the group has one token on each side, bool (n,).
        log_p_text: The log-probability of the group's text where it is not single, (n,).
        log_q_text: The same under the student, (n,), with gradient.
    """

    log_p: "torch.Tensor"
    log_q: "torch.Tensor"
    log_p_others: "torch.Tensor"
    log_q_others: "torch.Tensor"
    single: "torch.Tensor"
    log_p_text: "torch.Tensor"
    log_q_text: "torch.Tensor"


@dataclass
class GroupObjective(Objective):
    """A loss of groups; a subclass defines `group`.

    A response counts by its number of tokens, and within it all groups count alike. What has no
    counterpart in the teacher's tokens is not learned from; the log has its share of the tokens.

    Attributes:
        way: Which token of a group predicts for it.
    """

    floor: ClassVar[float | None] = 0.0
    way: Way = "first"
    _context: Any = field(default=None, init=False, repr=False, compare=False)

    @property
    def bridges(self) -> Way:  # type: ignore[override]
        """How a teacher of another tokenizer is read."""
        return self.way

    def begin(self, context: Context) -> None:
        """Keep the teacher's view, which says whether its tokenizer is another one."""
        self._context = context

    @property
    def teacher(self) -> AlignedView | None:
        """The teacher of another tokenizer; None if all tokens mean the same to both."""
        view = None if self._context is None else self._context.views["teacher"]
        return view if isinstance(view, AlignedView) else None

    def group(self, sides: Sides) -> "torch.Tensor":
        """The loss of each group, (n,)."""
        raise NotImplementedError

    def plan(self, plan: Plan) -> Mapping[str, "torch.Tensor"]:
        """Where groups begin, where they count and how much, and the teacher's share of them."""
        import torch

        mask = plan.mask
        if self.teacher is None:
            ones = mask.float()
            zeros = torch.zeros_like(ones)
            everywhere = dict.fromkeys((BEGINS, _COUNTS, _SINGLE), mask)
            return {**everywhere, _WEIGHT: ones, _OTHERS: zeros, _TEXT: zeros}
        found = self.teacher.groups(plan.batch)
        counts = torch.zeros_like(mask).masked_scatter(mask, found.counts)
        lengths, groups = mask.sum(-1, keepdim=True), counts.sum(-1, keepdim=True)
        self._note(plan, found)
        return {
            BEGINS: torch.zeros_like(mask).masked_scatter(mask, found.begins),
            _COUNTS: counts,
            _WEIGHT: counts * lengths / groups.clamp(min=1),
            _SINGLE: torch.zeros_like(mask).masked_scatter(mask, found.single),
            _OTHERS: mask.float().masked_scatter(mask, found.log_p_others),
            _TEXT: mask.float().masked_scatter(mask, found.log_p_text),
        }

    def token(self, chunk: Chunk) -> "torch.Tensor":
        """The loss of each group where it counts, and 0 elsewhere."""
        import torch

        plan, log_q = chunk.plan, chunk.log_q
        number = plan[BEGINS].long().cumsum(0) - 1
        of_target = chunk.of_target(log_q)
        others = torch.where(plan[_COUNTS], 0, of_target)
        of_group = torch.zeros_like(others).index_add(0, number, others)[number]
        of_teacher = (plan[name].to(log_q.dtype) for name in (_OTHERS, _TEXT))
        log_p_others, log_p_text = of_teacher
        sides = Sides(
            chunk.log_p,
            log_q,
            log_p_others,
            of_group,
            plan[_SINGLE],
            log_p_text,
            of_group + of_target,
        )
        losses = self.group(sides)
        return torch.where(plan[_COUNTS], plan[_WEIGHT].to(log_q.dtype) * losses, 0)

    def _note(self, plan: Plan, found: Any) -> None:
        """Log how well the two tokenizations fit: see `docs/methods/tokenizers.md`."""
        reading, _ = self.teacher.own_reading(plan.batch)  # type: ignore[union-attr]
        inside = sum(stop - first for first, stop in reading.spans)
        tokens, groups = len(found.begins), max(1, len(reading.spans))
        single = sum(
            mine[1] - mine[0] == theirs[1] - theirs[0] == 1
            for mine, theirs in zip(reading.spans, reading.own, strict=True)
        )
        self._context.note("alignment/left_out", 1 - inside / tokens)
        self._context.note("alignment/one_to_one", single / groups)
