"""MPDistil: a student, then a meta teacher, then a curriculum of tasks by a policy.

Paper: Meta-policy distillation; the authors' code (parmanu-lcs2/mpdistil) was read. It classifies
    texts; here a class is the next token, a pooled state the one that predicts it, and a task a
    kind of rows.
Stage `distillation`: α τ² ‖softmax(z_p/τ) - softmax(z_q/τ)‖² + (1-α) CE + β MSE(unit states), α
    `soft_weight`, τ `temperature`, β `state_weight`, the student's states through a projector that
    trains with it. The code averages the squares over its few classes; over a vocabulary that
    would be nothing, so they are summed.
Stage `curriculum`, its first `meta_share`: the meta teacher, a head that starts as the teacher's,
    learns from the states h_p of the teacher and h_q of the student, and these do not change.
    collaborative: ½ CE(h_p) + ½ CE(h_q); competitive: CE(h_p) - p(y|h_p) + p(y|h_q). Widths may
    differ, so h_q goes through a projector, which learns CE under the head as it is.
  Then the policy: each step is of one task, and the student's loss is CE - q(y). (The code adds the
    meta teacher's p(y), which has no gradient.) Reward after the step, on validation rows of
    `main_task`: binary, the share of rows whose mean log q(y) is above the meta teacher's; or
    real, the mean of q(y) - p(y), each exp of that mean log.
Not copied: the code discounts rewards from the start of the episode, so that late actions count
    less; its student steps once per episode, so that no reward in it depends on an action; its
    policy sees the mean of a parameter. Here the discount runs from each action, each action is a
    step of the student, and the policy has a logit per task. A moving mean is subtracted from the
    rewards, which changes no expectation.
Data: the field `task_field` names each row's task.
The file is longer than others, as three trainings are in it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from kdbench.methods import Mechanism, Method, methods
from kdbench.training import Chunk, Context, CrossEntropy, Example, Objective, Part, Term, Triple
from kdbench.training.bandit import FromTask, TaskBandit
from kdbench.training.parts import Sizes
from kdbench.training.stage import Stage
from kdbench.training.target import tempered
from kdbench.views.rollout import Batch, of_dataset

if TYPE_CHECKING:
    import torch

Meta = Literal["collaborative", "competitive"]
RewardKind = Literal["binary", "real"]
_BOTH: Mapping[str, tuple[int, ...]] = {"student": (-1,), "teacher": (-1,)}


@dataclass(frozen=True)
class SoftSquares(Objective):
    """τ² times the squared distance of the tempered distributions."""

    temperature: float = 5.0

    def token(self, chunk: Chunk) -> "torch.Tensor":
        """τ² ‖softmax(z_p/τ) - softmax(z_q/τ)‖²."""
        p = tempered(chunk.view_logits("teacher"), self.temperature).exp()
        q = tempered(chunk.logits, self.temperature).exp()
        return self.temperature**2 * (p - q).square().sum(-1)

    def __str__(self) -> str:
        return f"squares(temperature={self.temperature:g})"


@dataclass(frozen=True)
class UnitStates(Objective):
    """The mean squared distance of states of length 1."""

    views = ()
    hidden = _BOTH
    needs_logits: ClassVar[bool] = False
    floor: ClassVar[float | None] = None

    def token(self, chunk: Chunk) -> "torch.Tensor":
        """MSE(h_p / |h_p|, A h_q / |A h_q|)."""
        from torch.nn.functional import normalize

        projected = chunk.parts["projector"](chunk.hidden("student", -1))
        return (normalize(chunk.hidden("teacher", -1)) - normalize(projected)).square().mean(-1)

    def __str__(self) -> str:
        return "unit_states"


def meta_loss(of_teacher: "torch.Tensor", of_student: "torch.Tensor", meta: Meta) -> "torch.Tensor":
    """The meta teacher's loss of each token from log p(y|h_p) and log p(y|h_q), (n,) each."""
    if meta == "collaborative":
        return -(of_teacher + of_student) / 2
    return -of_teacher - of_teacher.exp() + of_student.exp()


@dataclass
class MetaTeacher(Objective):
    """The meta teacher learns; the student does not."""

    views = ()
    hidden = _BOTH
    needs_logits: ClassVar[bool] = False
    floor: ClassVar[float | None] = None
    meta: Meta = "collaborative"

    def begin(self, context: Context) -> None:
        """The head starts as the teacher's."""
        import torch

        teacher: Any = context.views["teacher"]
        with torch.no_grad():
            weight = context.parts["meta_head"].weight
            weight.copy_(teacher.head.weight[: len(weight)])

    def token(self, chunk: Chunk) -> "torch.Tensor":
        """Its loss, and that of the projector under the head as it is."""
        from torch.nn.functional import linear

        head = chunk.parts["meta_head"]
        projected = chunk.parts["projector"](chunk.hidden("student", -1).detach())
        of_teacher = chunk.of_target(head(chunk.hidden("teacher", -1)).log_softmax(-1))
        of_student = chunk.of_target(head(projected.detach()).log_softmax(-1))
        fit = chunk.of_target(linear(projected, head.weight.detach()).log_softmax(-1))
        return meta_loss(of_teacher, of_student, self.meta) - fit

    def __str__(self) -> str:
        return f"meta_teacher({self.meta})"


@dataclass(frozen=True)
class Surer(CrossEntropy):
    """-log q(y) - q(y)."""

    def token(self, chunk: Chunk) -> "torch.Tensor":
        """-log q(y) - q(y)."""
        log_q = chunk.of_target(chunk.log_q)
        return -log_q - log_q.exp()

    def __str__(self) -> str:
        return "cross_entropy - q"


def reward_of(log_q: Sequence[float], log_p: Sequence[float], kind: RewardKind) -> float:
    """The reward from the mean log-probability of each response's tokens, of both models."""
    import math

    pairs = list(zip(log_q, log_p, strict=True))
    if kind == "binary":
        return sum(own > other for own, other in pairs) / len(pairs)
    return sum(math.exp(own) - math.exp(other) for own, other in pairs) / len(pairs)


def mean_log_probs(context: Context, rows: Sequence[Example]) -> tuple[list[float], list[float]]:
    """The mean log q(y) and the meta teacher's mean log p(y) of each row's response."""
    import torch

    teacher, student = context.views["teacher"], context.gradients.student
    context.student.eval()
    found: tuple[list[float], list[float]] = [], []
    with torch.no_grad():
        for start in range(0, len(rows), context.micro_batch_size):
            some = [of_dataset(row) for row in rows[start : start + context.micro_batch_size]]
            batch = Batch(some, context.device)
            states = teacher.states(batch).float()
            logits = student.logits(student.states(batch)), context.parts["meta_head"](states)
            for values, scores in zip(found, logits, strict=True):
                of_targets = scores.log_softmax(-1).gather(-1, batch.targets[:, None])[:, 0]
                values += [float(row.mean()) for row in of_targets.split(batch.lengths)]
    return found


def _linear(sizes: Sizes, inputs: str, outputs: int, bias: bool) -> "torch.nn.Module":
    import torch

    return torch.nn.Linear(sizes.widths[inputs], outputs, bias=bias)


@methods.register("mpdistil")
class MPDistil(Method):
    """Distillation, a meta teacher, and tasks chosen by a policy."""

    title: ClassVar[str] = "MPDistil (adapted)"
    paper: ClassVar[str] = "Meta-policy distillation (parmanu-lcs2/mpdistil)"
    cost: ClassVar[str] = "teacher forward, a reward in each step of the curriculum"
    family: ClassVar[str] = "data"
    basis: ClassVar[str] = "authors' code"
    adapted: ClassVar[str] = "classes of texts; here the next token, and kinds of rows as tasks"
    data: ClassVar[str] = "a field that names each row's task"
    mechanism: ClassVar[Mechanism | None] = Mechanism(
        "log:bandit/reward", "up", "the student beats the meta teacher on the main task"
    )
    task_field: str = Field("category", description="column of the task")
    main_task: str = Field("sort", description="task on whose validation rows rewards are measured")
    soft_weight: float = Field(0.5, ge=0, le=1, description="α, weight of the squares; CE has 1-α")
    temperature: float = Field(5.0, gt=0, description="τ, divides the logits in the squares")
    state_weight: float = Field(100.0, ge=0, description="β, weight of the states' distance")
    meta: Meta = Field("collaborative", description="what the meta teacher learns")
    meta_share: float = Field(0.3, gt=0, lt=1, description="its share of the second stage")
    meta_rate: float = Field(1.0, ge=0, description="its learning rate, times the student's")
    curriculum_share: float = Field(
        0.5, gt=0, lt=1, description="share of the run's steps in the second stage"
    )
    episode: int = Field(5, ge=1, description="student steps between changes of the policy")
    discount: float = Field(0.99, ge=0, le=1, description="γ, of later rewards in an episode")
    policy_rate: float = Field(
        1.0, ge=0, description="learning rate of the policy; 0 draws all tasks alike"
    )
    reward: RewardKind = Field("binary", description="what a row counts")
    reward_rows: int = Field(32, ge=1, description="largest number of validation rows of a reward")

    def stages(self) -> list[Stage]:
        """Distillation, then the curriculum."""
        return [
            Stage(self._distillation(), 1 - self.curriculum_share, name="distillation"),
            Stage(self._curriculum(), self.curriculum_share, name="curriculum"),
        ]

    def _distillation(self) -> Triple:
        terms = [
            Term(SoftSquares(self.temperature), self.soft_weight),
            Term(CrossEntropy(), 1 - self.soft_weight),
            Term(UnitStates(), self.state_weight),
        ]
        parts = {"projector": Part(_projector)} if self.state_weight else {}
        return Triple([term for term in terms if term.weight], parts=parts)

    def _curriculum(self) -> Triple:
        source = FromTask(self.task_field)
        bandit = TaskBandit(
            source,
            self.main_task,
            self._reward,
            self.meta_share,
            self.episode,
            self.discount,
            self.policy_rate,
            self.reward_rows,
        )
        parts = {
            "meta_head": Part(_meta_head, self.meta_rate),
            "projector": Part(_projector, self.meta_rate),
        }
        terms = [Term(MetaTeacher(self.meta), "first"), Term(Surer(), "then")]
        return Triple(terms, source, bandit, parts=parts)

    def _reward(self, context: Context, rows: Sequence[Example]) -> float:
        return reward_of(*mean_log_probs(context, rows), self.reward)


def _projector(sizes: Sizes) -> "torch.nn.Module":
    return _linear(sizes, "student", sizes.widths["teacher"], bias=True)


def _meta_head(sizes: Sizes) -> "torch.nn.Module":
    return _linear(sizes, "teacher", sizes.vocabulary, bias=False)
