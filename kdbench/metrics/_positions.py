"""Response positions with both models' next-token distributions: the input of token metrics."""

from functools import cached_property
from typing import TYPE_CHECKING, Literal, get_args

from kdbench.divergence import entropy
from kdbench.errors import InputError

if TYPE_CHECKING:
    import torch

PositionSet = Literal["ref", "teacher", "student"]
POSITION_SETS: tuple[PositionSet, ...] = get_args(PositionSet)

_EQUALS = 64  # extra tokens fetched, in case of ties at the end of a ranking
_WIDEST = 50  # longest ranking that a built-in metric asks for


class Positions:
    """A chunk of n response positions with both distributions over all V tokens.

    Attributes:
        log_p: The teacher's log-probabilities over C classes, float32 of shape (n, C), as a
            divergence takes them. Here the classes are the V tokens.
        log_q: The student's log-probabilities over the same classes.
        targets: The response's tokens, int64 of shape (n,).
        set: Position set to which the responses belong.
        meets: Where the teacher's tokens begin with the student's, bool of shape (n,); None if the
            tokenizers are equal, so that they do everywhere.
        target_bytes: Number of bytes that each token of the response writes, int64 of shape (n,);
            -1 for an end token. None if they are not known.
    """

    meets: "torch.Tensor | None" = None
    target_bytes: "torch.Tensor | None" = None

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
        """The teacher's entropy H(p), shape (n,)."""
        return entropy(self.log_p)

    @cached_property
    def student_entropy(self) -> "torch.Tensor":
        """The student's entropy H(q), shape (n,)."""
        return entropy(self.log_q)

    def teacher_top(self, k: int) -> "tuple[torch.Tensor, torch.Tensor]":
        """Log-probabilities and ids of the teacher's top k, (n, k) each, most likely first."""
        return _first(self._teacher_top, k) if k <= _WIDEST else top(self.log_p, k)

    def student_top(self, k: int) -> "tuple[torch.Tensor, torch.Tensor]":
        """Log-probabilities and ids of the student's top k, (n, k) each, most likely first."""
        return _first(self._student_top, k) if k <= _WIDEST else top(self._whole_log_q, k)

    def teacher_log_prob(self, ids: "torch.Tensor") -> "torch.Tensor":
        """The teacher's log-probabilities of given tokens, (n, k) to (n, k)."""
        return self.log_p.gather(-1, ids)

    def student_log_prob(self, ids: "torch.Tensor") -> "torch.Tensor":
        """The student's log-probabilities of given tokens, (n, k) to (n, k)."""
        return self.log_q.gather(-1, ids)

    @property
    def target_log_p(self) -> "torch.Tensor":
        """The teacher's log-probabilities of the response's tokens, shape (n,)."""
        return self.teacher_log_prob(self.targets[:, None])[:, 0]

    @property
    def target_log_q(self) -> "torch.Tensor":
        """The student's log-probabilities of the response's tokens, shape (n,)."""
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
    """Positions at which only the teacher's k most likely tokens are known.

    Divergences are taken over k + 1 classes: these k tokens, and all other tokens together. The
    coarser partition can only lower an f-divergence, so it gives a lower bound of a divergence and
    an upper bound of acceptance.

    Args:
        top_log_p: The teacher's log-probabilities of its top k, (n, k), most likely first.
        top_ids: Ids of these tokens, (n, k).
        tail_log_p: Log of the teacher's probability of all other tokens, (n,).
        teacher_entropy: Entropy of the teacher's whole distribution, (n,).
        target_log_p: The teacher's log-probabilities of the response's tokens, (n,).
        log_q: The student's log-probabilities over all V tokens, (n, V).
        targets: As for `Positions`.
        set: As for `Positions`.
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
        """The student's entropy H(q) over all V tokens, shape (n,)."""
        return entropy(self._whole_log_q)

    def teacher_log_prob(self, ids: "torch.Tensor") -> "torch.Tensor":
        """The teacher's log-probabilities of given tokens; -inf for those outside its top k."""
        import torch

        matches = ids[..., None] == self._ids[:, None, :]
        known = self.log_p[:, None, :-1].masked_fill(~matches, -torch.inf)
        return known.amax(-1)

    def student_log_prob(self, ids: "torch.Tensor") -> "torch.Tensor":
        """The student's log-probabilities of given tokens, (n, k) to (n, k)."""
        return self._whole_log_q.gather(-1, ids)

    @property
    def target_log_p(self) -> "torch.Tensor":
        """The teacher's log-probabilities of the response's tokens, shape (n,)."""
        return self._target_log_p

    def teacher_top(self, k: int) -> "tuple[torch.Tensor, torch.Tensor]":
        """Log-probabilities and ids of the teacher's top k, (n, k) each, most likely first.

        Raises:
            InputError: Fewer than k tokens are known.
        """
        known, vocabulary = self._ids.shape[-1], self._all_log_q.shape[-1]
        if known < min(k, vocabulary):
            raise InputError(f"needs the teacher's top {k}, and {known} are known")
        return _first((self.log_p[:, :-1], self._ids), k)

    @property
    def _whole_log_q(self) -> "torch.Tensor":
        return self._all_log_q


class AlignedPositions(Positions):
    """Positions of the student's tokens, with a teacher of a different tokenizer.

    The classes of `log_p` and `log_q` are the tokens that both know by text, and perhaps the rest.
    Both distributions count only where `meets`. Ids are joint: those of a shared token are equal
    for both models, those of any other token are not.

    Args:
        log_p: The teacher's log-probabilities over the classes, (n, C).
        log_q: The student's, (n, C).
        whole: Log-probabilities over each model's own vocabulary, and the joint ids of its tokens:
            the teacher's, then the student's.
        target_log_p: The teacher's log-probability of the text up to the next meeting, (n,); 0
            where the two do not meet, so that its sum is that of the whole response.
        targets: The student's tokens of the response, (n,).
        set: As for `Positions`.
        meets: As for `Positions`.
    """

    def __init__(
        self,
        log_p: "torch.Tensor",
        log_q: "torch.Tensor",
        whole: "tuple[tuple[torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]",
        target_log_p: "torch.Tensor",
        targets: "torch.Tensor",
        set: "PositionSet",
        meets: "torch.Tensor",
    ):
        super().__init__(log_p, log_q, targets, set)
        (self._whole_log_p, self._teacher_ids), (self._own_log_q, self._student_ids) = whole
        self._target_log_p, self.meets = target_log_p, meets

    def teacher_top(self, k: int) -> "tuple[torch.Tensor, torch.Tensor]":
        """Log-probabilities and joint ids of the teacher's top k, (n, k) each."""
        values, ids = top(self._whole_log_p, k)
        return values, self._teacher_ids[ids]

    def student_top(self, k: int) -> "tuple[torch.Tensor, torch.Tensor]":
        """Log-probabilities and joint ids of the student's top k, (n, k) each."""
        values, ids = top(self._own_log_q, k)
        return values, self._student_ids[ids]

    @property
    def target_log_p(self) -> "torch.Tensor":
        """The teacher's log-probabilities of the text up to the next meeting, shape (n,)."""
        return self._target_log_p

    @property
    def target_log_q(self) -> "torch.Tensor":
        """The student's log-probabilities of its tokens of the response, shape (n,)."""
        return self._own_log_q.gather(-1, self.targets[:, None])[:, 0]


def top(log_probs: "torch.Tensor", k: int) -> "tuple[torch.Tensor, torch.Tensor]":
    """Return values and ids of the k largest, (n, V) to two of (n, min(k, V)).

    Of equal values the lowest id comes first.
    """
    size = log_probs.shape[-1]
    # topk breaks ties arbitrarily, and rounded logits have many ties: fetch more than k.
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
    """Ids of the k largest in order; ties with the last one go to the lowest ids."""
    larger, equal = log_probs > last, log_probs == last
    room = k - larger.sum(-1, keepdim=True)
    taken = larger | (equal & (equal.cumsum(-1) <= room))
    ids = taken.nonzero()[:, 1].view(-1, k)
    order = log_probs.gather(-1, ids).sort(dim=-1, descending=True, stable=True)[1]
    return ids.gather(-1, order)


def _first(
    ranked: "tuple[torch.Tensor, torch.Tensor]", k: int
) -> "tuple[torch.Tensor, torch.Tensor]":
    values, ids = ranked
    return values[:, :k], ids[:, :k]
