"""Response positions, as teacher and student see them: what a token metric looks at."""

from functools import cached_property
from typing import TYPE_CHECKING, Literal

from kdbench.divergence import entropy
from kdbench.errors import InputError

if TYPE_CHECKING:
    import torch

PositionSet = Literal["ref", "teacher", "student"]

_EQUALS = 64  # tokens as likely as the last of a ranking that are looked at first
_WIDEST = 50  # tokens of the longest ranking that a metric asks for


class Positions:
    """One chunk of n response positions, both distributions known over all V tokens.

    Attributes:
        log_p: the teacher's log-probabilities over C classes, float32 (n, C): what a divergence
            takes. Here the classes are the V tokens.
        log_q: the student's, over the same classes.
        targets: the response's tokens, int64 (n,).
        set: which responses these are.
    """

    def __init__(
        self,
        log_p: "torch.Tensor",
        log_q: "torch.Tensor",
        targets: "torch.Tensor",
        set: "PositionSet" = "ref",
    ):
        self.log_p, self.log_q, self.targets, self.set = log_p, log_q, targets, set

    @cached_property
    def teacher_entropy(self) -> "torch.Tensor":
        """H(p), (n,)."""
        return entropy(self.log_p)

    @cached_property
    def student_entropy(self) -> "torch.Tensor":
        """H(q), (n,)."""
        return entropy(self.log_q)

    def teacher_top(self, k: int) -> "tuple[torch.Tensor, torch.Tensor]":
        """The teacher's k likeliest tokens: log-probabilities and ids, (n, k), likeliest first."""
        return _first(self._teacher_top, k) if k <= _WIDEST else top(self.log_p, k)

    def student_top(self, k: int) -> "tuple[torch.Tensor, torch.Tensor]":
        """The student's k likeliest tokens."""
        return _first(self._student_top, k) if k <= _WIDEST else top(self._whole_log_q, k)

    def teacher_log_prob(self, ids: "torch.Tensor") -> "torch.Tensor":
        """Log p of some tokens, (n, k) to (n, k)."""
        return self.log_p.gather(-1, ids)

    def student_log_prob(self, ids: "torch.Tensor") -> "torch.Tensor":
        """Log q of some tokens, (n, k) to (n, k)."""
        return self.log_q.gather(-1, ids)

    @property
    def target_log_p(self) -> "torch.Tensor":
        """Log p of the response's tokens, (n,)."""
        return self.teacher_log_prob(self.targets[:, None])[:, 0]

    @property
    def target_log_q(self) -> "torch.Tensor":
        """Log q of the response's tokens, (n,)."""
        return self.student_log_prob(self.targets[:, None])[:, 0]

    @cached_property
    def _teacher_top(self) -> "tuple[torch.Tensor, torch.Tensor]":
        return top(self.log_p, _WIDEST)

    @cached_property
    def _student_top(self) -> "tuple[torch.Tensor, torch.Tensor]":
        return top(self._whole_log_q, _WIDEST)

    @property
    def _whole_log_q(self) -> "torch.Tensor":
        return self.log_q


class TopPositions(Positions):
    """Positions of which only the teacher's k likeliest tokens are known.

    The classes of the divergences are these k tokens and one for all others: the coarser partition
    can only lower an f-divergence, so `from_top_k` says lower, and upper for an acceptance.

    Args:
        top_log_p: (n, k), likeliest first.
        top_ids: (n, k).
        tail_log_p: log of the others' mass, (n,).
        teacher_entropy: of the whole distribution, (n,).
        target_log_p: of the response's tokens, (n,).
        log_q: the student's, over all V tokens.
        targets: as for `Positions`.
        set: as for `Positions`.
    """

    def __init__(
        self,
        top_log_p: "torch.Tensor",
        top_ids: "torch.Tensor",
        tail_log_p: "torch.Tensor",
        teacher_entropy: "torch.Tensor",
        target_log_p: "torch.Tensor",
        log_q: "torch.Tensor",
        targets: "torch.Tensor",
        set: "PositionSet" = "ref",
    ):
        import torch

        others = log_q.scatter(-1, top_ids, -torch.inf).logsumexp(-1, keepdim=True)
        super().__init__(
            torch.cat([top_log_p, tail_log_p[:, None]], -1),
            torch.cat([log_q.gather(-1, top_ids), others], -1),
            targets,
            set,
        )
        self._ids, self._all_log_q = top_ids, log_q
        self.teacher_entropy, self._target_log_p = teacher_entropy, target_log_p

    @cached_property
    def student_entropy(self) -> "torch.Tensor":
        """H(q) over all tokens."""
        return entropy(self._whole_log_q)

    def teacher_log_prob(self, ids: "torch.Tensor") -> "torch.Tensor":
        """Log p of some tokens; -inf for those that are not among the k."""
        import torch

        found = ids[..., None] == self._ids[:, None, :]
        known = self.log_p[:, None, :-1].masked_fill(~found, -torch.inf)
        return known.amax(-1)

    def student_log_prob(self, ids: "torch.Tensor") -> "torch.Tensor":
        """Log q of some tokens."""
        return self._whole_log_q.gather(-1, ids)

    @property
    def target_log_p(self) -> "torch.Tensor":
        """Log p of the response's tokens, which the cache holds."""
        return self._target_log_p

    def teacher_top(self, k: int) -> "tuple[torch.Tensor, torch.Tensor]":
        """The teacher's k likeliest tokens.

        Raises:
            InputError: fewer of them are known.
        """
        known, vocabulary = self._ids.shape[-1], self._all_log_q.shape[-1]
        if known < min(k, vocabulary):
            raise InputError(f"needs the teacher's top {k}, and {known} are known")
        return _first((self.log_p[:, :-1], self._ids), k)

    @property
    def _whole_log_q(self) -> "torch.Tensor":
        return self._all_log_q


def top(log_probs: "torch.Tensor", k: int) -> "tuple[torch.Tensor, torch.Tensor]":
    """The k likeliest, (n, V) to two of (n, min(k, V)); of equals the lowest id comes first."""
    size = log_probs.shape[-1]
    # topk takes any of the equals at its end, and rounded logits have many: look further.
    values, ids = log_probs.topk(min(k + _EQUALS, size), dim=-1)
    ids, order = ids.sort(dim=-1)
    values, again = values.gather(-1, order).sort(dim=-1, descending=True, stable=True)
    ids = ids.gather(-1, again)
    if values.shape[-1] < size:
        unsure = values[:, -1] == values[:, k - 1]
        if unsure.any():
            ids[unsure, :k] = _lowest(log_probs[unsure], values[unsure, k - 1 : k], k)
            values = log_probs.gather(-1, ids)
    return values[:, :k], ids[:, :k]


def _lowest(log_probs: "torch.Tensor", last: "torch.Tensor", k: int) -> "torch.Tensor":
    """Ids of the k likeliest in order, of those that equal the last one the lowest."""
    likelier, equal = log_probs > last, log_probs == last
    room = k - likelier.sum(-1, keepdim=True)
    taken = likelier | (equal & (equal.cumsum(-1) <= room))
    ids = taken.nonzero()[:, 1].view(-1, k)
    order = log_probs.gather(-1, ids).sort(dim=-1, descending=True, stable=True)[1]
    return ids.gather(-1, order)


def _first(
    ranked: "tuple[torch.Tensor, torch.Tensor]", k: int
) -> "tuple[torch.Tensor, torch.Tensor]":
    values, ids = ranked
    return values[:, :k], ids[:, :k]
