"""Interleaved sampling: the student proposes each token, and the teacher may replace it.

Speculative knowledge distillation (arXiv 2410.11325): a token that the student samples is kept if
it is among the teacher's K likeliest; otherwise a sample of the teacher takes its place. So the
next token has the law q(v) 1[v in top K] + (1 - A) r(v), where A is the student's mass on the top K
and r is what the teacher samples from. Drawing one of 2V outcomes, token v kept or token v put in,
gives token and origin together, as the two draws one after the other do.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from kdbench.generate import Row
from kdbench.generate.decoding.generator import Generator
from kdbench.generate.decoding.kinds import Begin, Decoding, MixedDecoding
from kdbench.generate.decoding.prefill import Prompts
from kdbench.generate.row.response import Response

if TYPE_CHECKING:
    import torch

Replacement = Literal["teacher", "top_k"]


@dataclass(frozen=True)
class Interleaving:
    """When a proposed token is kept, and what replaces it otherwise.

    Attributes:
        top_k: K; a token among the teacher's K likeliest is kept. All tokens keep everything.
        replacement: Whether the teacher's sample is of its whole distribution (`teacher`), or of
            its K likeliest tokens, renormalised (`top_k`). With K = 1 the latter is the teacher's
            greedy text.
    """

    top_k: int
    replacement: Replacement = "teacher"

    def law(self, log_q: "torch.Tensor", log_p: "torch.Tensor") -> "torch.Tensor":
        """The log-probabilities of a token kept, and of a token put in.

        Args:
            log_q: The student's log-probabilities, (..., V).
            log_p: The teacher's, (..., V).

        Returns:
            Of shape (..., 2V): first each token as the student's, then each as the teacher's.
        """
        import torch

        top = log_p.topk(min(self.top_k, log_p.shape[-1]), dim=-1).indices
        nothing = torch.full_like(log_q, -torch.inf)
        kept = nothing.scatter(-1, top, log_q.gather(-1, top))
        refused = log_q.scatter(-1, top, -torch.inf).logsumexp(-1, keepdim=True)
        if self.replacement == "top_k":
            log_p = nothing.scatter(-1, top, log_p.gather(-1, top).log_softmax(-1))
        return torch.cat([kept, refused + log_p], -1)


class InterleavedDecoding(MixedDecoding):
    """Two models that decode the same rows, with 2V outcomes of each token.

    Args:
        student: Decoding of the rows with the student.
        teacher: Decoding of the same rows with the teacher.
        rule: Which tokens are kept.
    """

    def __init__(self, student: Decoding, teacher: Decoding, rule: Interleaving):
        self._rule = rule
        super().__init__(student, teacher, 0.0)

    def _mix(self) -> "torch.Tensor":
        student = self._student.logits.float().log_softmax(-1)
        teacher = self._teacher.logits.float().log_softmax(-1).to(student.device)
        return self._rule.law(student, teacher)


def of_interleaving(student: Begin, teacher: Begin, rule: Interleaving) -> Begin:
    """Return decodings in which the teacher replaces tokens of the student."""

    def begin(prompts: Prompts, places: int, room: int) -> Decoding:
        return InterleavedDecoding(
            student(prompts, places, room), teacher(prompts, places, room), rule
        )

    return begin


class InterleavedGenerator(Generator):
    """Generates with an `InterleavedDecoding`, and remembers which tokens were replaced."""

    def __init__(self, *given: Any):
        super().__init__(*given)
        self._replaced: dict[tuple[str, int], tuple[Response, list[float]]] = {}

    def replaced(self, row: Row) -> list[float]:
        """1 for each token of a finished row that is the teacher's, 0 for one of the student's."""
        return self._replaced[row.document, row.seed][1]

    def _choose(
        self, logits: "torch.Tensor", live: Sequence[Response], keys: "torch.Tensor"
    ) -> "torch.Tensor":
        outcomes = super()._choose(logits, live, keys)
        vocabulary = logits.shape[1] // 2
        for response, outcome in zip(live, outcomes.tolist(), strict=True):
            if not response.finished:
                self._of(response).append(float(outcome >= vocabulary))
        return outcomes % vocabulary

    def _of(self, response: Response) -> list[float]:
        """What is remembered of a row; one that begins anew after a lack of memory has nothing."""
        key = response.row.document, response.row.seed
        if key not in self._replaced or self._replaced[key][0] is not response:
            self._replaced[key] = response, []
        return self._replaced[key][1]
