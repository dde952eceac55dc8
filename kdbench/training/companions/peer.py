"""A model that learns next to the student, by terms of its own."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from kdbench.errors import InputError
from kdbench.training.companion import Companion
from kdbench.training.companions.models import check_every, check_path, load_model, view_of
from kdbench.training.context import Context
from kdbench.training.hidden_parameters import refuse_hidden_parameters
from kdbench.training.loss import STUDENT, amounts_of, distillation_loss
from kdbench.training.objective import Term
from kdbench.training.step import StepOutcome, micro_batches
from kdbench.views.rollout import Batch, Rollout, of_dataset, response_tokens
from kdbench.views.view import ModelView, View, bare_model

if TYPE_CHECKING:
    import torch


@dataclass
class Peer(Companion):
    """A model with its own terms, optimiser and clipping; its weights learn from every K-th step.

    Its terms may name the view `student`, which has no dropout there, and get no gradient through
    any view but its own. They have no parts. The optimiser has the student's settings. A peer that
    is called `teacher` and starts from the teacher is the teacher's model itself, which then
    learns; its checkpoint on disk stays as it is.

    Attributes:
        name: The name of its view.
        terms: What it minimises.
        start_from: Where it starts: `teacher`, `student` (before training), or a checkpoint.
        every: Student steps per step of its own.
        rate: Its learning rate as a multiple of the student's.
        responses: What it learns from: the responses of the student's step, or the data set's own
            to the same prompts.
        validated: Whether it is validated along with the student.
    """

    name: str
    terms: Sequence[Term]
    start_from: Literal["teacher", "student"] | Path = "student"
    every: int = 1
    rate: float = 1.0
    responses: Literal["step", "dataset"] = "step"
    validated: bool = False
    _model: Any = field(default=None, init=False, repr=False)
    _optimizer: Any = field(default=None, init=False, repr=False)
    _context: Context | None = field(default=None, init=False, repr=False)

    @property
    def views(self) -> tuple[str, ...]:  # type: ignore[override]
        """The views of its terms, and the teacher if it starts from that."""
        named = {view for term in self.terms for view in term.objective.views}
        named |= {view for term in self.terms for view in term.objective.hidden}
        named |= {"teacher"} if self.needs_teacher_model else set()
        return tuple(sorted(named - ({self.name} if not self.replaces_teacher else set())))

    @property
    def needs_teacher_model(self) -> bool:  # type: ignore[override]
        """Whether it starts from the teacher."""
        return self.start_from == "teacher"

    @property
    def replaces_teacher(self) -> bool:  # type: ignore[override]
        """Whether it is the teacher itself."""
        return self.name == "teacher" and self.needs_teacher_model

    @property
    def checkpoints(self) -> Mapping[str, Path]:
        """Its checkpoint, if it starts from one."""
        start = self.start_from
        return {f"{self.name}_model": start} if isinstance(start, Path) else {}

    def check(self) -> None:
        """Check that its checkpoint exists, and that it learns.

        Raises:
            InputError: It does not.
        """
        check_every(self.name, self.every)
        if isinstance(self.start_from, Path):
            check_path(self.start_from, f"{self.name}_model")
        if not self.terms:
            raise InputError(f"the peer '{self.name}' has no terms, so it never learns")

    def start(self, context: Context) -> View:
        """Make the model with its optimiser, and return its view."""
        self._context = context
        self._model = self._made(context).eval().requires_grad_(True)
        self._optimizer = context.optimizer_for(self._model)
        return view_of(self._model, context)

    def _made(self, context: Context) -> Any:
        """The model before training, in float32, in which it learns."""
        from copy import deepcopy

        if isinstance(self.start_from, Path):
            return load_model(self.start_from, f"{self.name}_model", context)
        if self.start_from == "student":
            return context.student_at_start().to(bare_model(context.student).device)
        return (context.teacher if self.replaces_teacher else deepcopy(context.teacher)).float()

    def begin(self, context: Context) -> None:
        """Let its objectives look at models and data."""
        refuse_hidden_parameters([term.objective for term in self.terms], context)
        for term in self.terms:
            term.objective.begin(context)

    def after_step(self, outcome: StepOutcome) -> None:
        """Learn, after every K-th step."""
        if outcome.number % self.every == 0:
            self._learn(outcome)

    def learned(self, outcome: StepOutcome) -> Sequence[Rollout]:
        """The responses that it learns after a step of the student, on this process."""
        if self.responses == "dataset":
            return [of_dataset(example) for example in outcome.examples]
        return outcome.work.rollouts

    def _learn(self, outcome: StepOutcome) -> None:
        import torch

        context = self._started
        rollouts = self.learned(outcome)
        counts = [*amounts_of(self.terms, rollouts), response_tokens(rollouts)]
        device = self._model.device
        sums = context.sum_over_processes(torch.tensor(counts, device=device))
        *amounts, tokens = (int(total) for total in sums)
        if not tokens:
            return
        self._optimizer.zero_grad()
        context.student.eval()
        self._model.train()
        for rows in micro_batches(rollouts, context.micro_batch_size):
            loss = distillation_loss(
                self.terms,
                Batch(rows, device),
                self._views,
                amounts,
                outcome.schedule,
                context.chunk_tokens,
                learner=self.name,
            )
            loss.value.backward()
        self._model.eval()
        parameters = list(self._model.parameters())
        sum_gradients(parameters, context.sum_over_processes)
        torch.nn.utils.clip_grad_norm_(parameters, context.max_grad_norm)
        for group in self._optimizer.param_groups:
            group["lr"] = outcome.learning_rate * self.rate
        self._optimizer.step()
        self._optimizer.zero_grad()

    @cached_property
    def _views(self) -> dict[str, View]:
        """The views with the student's model as it is inside the wrappers of several processes.

        These would wait for each other in every forward pass, and processes may have different
        numbers of micro-batches.
        """
        context = self._started
        student = ModelView(context.student, context.vocabulary, autocast=context.autocast)
        return {**context.views, STUDENT: student}

    @property
    def _started(self) -> Context:
        assert self._context is not None  # noqa: S101 - it has started
        return self._context

    def model(self) -> Any:
        """The model, if it is validated."""
        return self._model if self.validated else None

    def state(self) -> dict[str, Any]:
        """Weights and optimiser."""
        return {"model": self._model.state_dict(), "optimizer": self._optimizer.state_dict()}

    def restore_state(self, state: dict[str, Any]) -> None:
        """Continue from a state."""
        self._model.load_state_dict(state["model"])
        self._optimizer.load_state_dict(state["optimizer"])

    def __str__(self) -> str:
        terms = " + ".join(str(term) for term in self.terms)
        return f"{self.name}(trained from {self.start_from}: {terms})"


def sum_gradients(
    parameters: "Sequence[torch.Tensor]",
    sum_over_processes: "Callable[[torch.Tensor], torch.Tensor]",
) -> None:
    """Replace gradients by their sums over processes.

    A parameter that no process has a gradient of keeps none, so that its optimiser leaves it.

    Args:
        parameters: The same on all processes.
        sum_over_processes: Returns the sum of a tensor.
    """
    import torch

    if not parameters:
        return
    has = torch.tensor([p.grad is not None for p in parameters], device=parameters[0].device)
    for parameter, somewhere in zip(
        parameters, sum_over_processes(has.int()).tolist(), strict=True
    ):
        if somewhere:
            own = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            parameter.grad = sum_over_processes(own)
