"""A companion: a second model in training, which objectives see as one more view."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from kdbench.checkpoint import find_checkpoint, load_checkpoint
from kdbench.divergence import forward_kl
from kdbench.errors import InputError
from kdbench.training.context import Context
from kdbench.training.loss import STUDENT, distillation_loss
from kdbench.training.objective import Match, Term
from kdbench.training.step import StepOutcome
from kdbench.views.rollout import Batch, of_dataset, response_tokens
from kdbench.views.tokenizers import common_vocabulary
from kdbench.views.view import ModelView, UniformView, View, bare_model

ClassmateKind = Literal["trained", "frozen", "ema", "teacher", "uniform"]


class Companion:
    """A model next to the student, visible as one more view.

    Attributes:
        name: The name of its view.
        views: The views that it needs, such as `teacher`.
    """

    name: str = "companion"
    views: tuple[str, ...] = ()

    def start(self, context: Context) -> View:
        """Make the model and return its view; called once, before a state is restored."""
        raise NotImplementedError

    def after_step(self, outcome: StepOutcome) -> None:
        """React to an optimiser step of the student, whose weights are those after it."""

    def after_validation(self, student_loss: float, own_loss: float | None) -> None:
        """React to a validation.

        Args:
            student_loss: The student's validation loss, nats per token.
            own_loss: The companion's; None if it is not validated.
        """

    def model(self) -> Any:
        """The model to validate along with the student; None if it is not validated."""
        return None

    def save(self, folder: Path) -> None:
        """Save the state into a checkpoint's folder."""

    def restore(self, folder: Path) -> None:
        """Continue from the state in a checkpoint's folder."""


@dataclass
class Classmate(Companion):
    """A weaker model of the student's kind (weak-model-guided distillation).

    Attributes:
        kind: `trained` learns from the teacher by forward KL on dataset examples alone, so that it
            stays behind the student; `frozen` stays as it starts; `ema` is a moving average of the
            student's weights. `teacher` and `uniform` are controls: nothing to move away from, and
            plain sharpening.
        path: The checkpoint from which it starts; None is the student before training.
        every: Student steps per step of a trained classmate.
        lag: A trained classmate pauses while its validation loss is below the student's plus this,
            nats per token; None never pauses it.
        decay: Decay of the moving average per step.
        waiting: Whether a trained classmate pauses.
    """

    kind: ClassmateKind = "trained"
    path: Path | None = None
    every: int = 2
    lag: float | None = None
    decay: float = 0.99
    name: str = field(default="classmate", init=False)
    _model: Any = field(default=None, init=False, repr=False)
    _optimizer: Any = field(default=None, init=False, repr=False)
    _view: ModelView | None = field(default=None, init=False, repr=False)
    _context: Context | None = field(default=None, init=False, repr=False)
    waiting: bool = field(default=False, init=False)

    def start(self, context: Context) -> View:
        """Make the classmate and return its view."""
        self._context = context
        if self.kind == "teacher":
            return context.views["teacher"]
        if self.kind == "uniform":
            return UniformView(context.vocabulary)
        self._model = self._load(context)
        self._view = ModelView(self._model, context.vocabulary, autocast=context.autocast)
        self._view.check()
        if self.kind == "trained":
            self._optimizer = context.optimizer_for(self._model)
        else:
            self._model.requires_grad_(False)
        if self.kind == "ema":
            self._paired_parameters(bare_model(context.student))
        return self._view

    @property
    def views(self) -> tuple[str, ...]:  # type: ignore[override]
        """The teacher, from which it learns or which it is."""
        return ("teacher",) if self.kind in ("trained", "teacher") else ()

    def after_step(self, outcome: StepOutcome) -> None:
        """Learn from the teacher, or follow the student's weights."""
        assert self._context is not None  # noqa: S101 - it has started
        if self.kind == "ema":
            self._follow(bare_model(self._context.student))
        elif self.kind == "trained" and outcome.number % self.every == 0 and not self.waiting:
            self._learn(self._context, outcome)

    def after_validation(self, student_loss: float, own_loss: float | None) -> None:
        """Pause while the classmate is too good."""
        if self.lag is not None and own_loss is not None:
            self.waiting = own_loss < student_loss + self.lag

    def model(self) -> Any:
        """The classmate's model; None for the controls, which have none."""
        return self._model

    def save(self, folder: Path) -> None:
        """Save the weights, the optimiser, and whether it pauses."""
        import torch

        if self._model is None:
            return
        optimizer = self._optimizer and self._optimizer.state_dict()
        state = {
            "model": self._model.state_dict(),
            "optimizer": optimizer,
            "waiting": self.waiting,
        }
        torch.save(state, folder / "classmate.pt")

    def restore(self, folder: Path) -> None:
        """Continue from what `save` wrote."""
        import torch

        if self._model is None:
            return
        state = torch.load(folder / "classmate.pt", map_location=self._model.device)
        self._model.load_state_dict(state["model"])
        self.waiting = state["waiting"]
        if self._optimizer is not None:
            self._optimizer.load_state_dict(state["optimizer"])

    def _load(self, context: Context) -> Any:
        device = bare_model(context.student).device
        if self.path is None:
            return context.student_at_start().to(device).eval()
        checkpoint = find_checkpoint(str(self.path), key="classmate_model")
        model, tokenizer = load_checkpoint(checkpoint, "float32", str(device))
        shared = common_vocabulary(
            context.tokenizer, tokenizer, "classmate", "classmate", any_end=True
        )
        if shared < context.vocabulary:
            raise InputError(
                f"classmate_model={self.path}: has {shared} of the {context.vocabulary} tokens "
                "that student and teacher share"
            )
        return model

    def _paired_parameters(self, student: Any) -> list[tuple[Any, Any]]:
        """Each parameter of the classmate with the student's."""
        ours, theirs = list(self._model.parameters()), list(student.parameters())
        if [tensor.shape for tensor in ours] != [tensor.shape for tensor in theirs]:
            raise InputError(
                "classmate=ema averages the student's weights: train without lora_rank= and "
                "classmate_model="
            )
        return list(zip(ours, theirs, strict=True))

    def _follow(self, student: Any) -> None:
        import torch

        with torch.no_grad():
            for average, weights in self._paired_parameters(student):
                average.lerp_(weights.to(average.dtype), 1 - self.decay)

    def _learn(self, context: Context, outcome: StepOutcome) -> None:
        import torch

        rollouts = [of_dataset(example) for example in outcome.examples]
        device, size = self._model.device, context.micro_batch_size
        tokens = torch.tensor(response_tokens(rollouts), device=device)
        amounts = [int(context.sum_over_processes(tokens))]
        assert self._view is not None  # noqa: S101 - a trained classmate has started
        views: dict[str, View] = {STUDENT: self._view, "teacher": context.views["teacher"]}
        self._model.train()
        self._optimizer.zero_grad()
        for start in range(0, len(rollouts), size):
            batch = Batch(rollouts[start : start + size], device)
            loss = distillation_loss([Term(Match(forward_kl))], batch, views, amounts)
            loss.value.backward()
        self._model.eval()
        parameters = list(self._model.parameters())
        for parameter in parameters:
            if parameter.grad is not None:
                parameter.grad = context.sum_over_processes(parameter.grad)
        torch.nn.utils.clip_grad_norm_(parameters, context.max_grad_norm)
        for group in self._optimizer.param_groups:
            group["lr"] = outcome.learning_rate
        self._optimizer.step()

    def __str__(self) -> str:
        start = f" from {self.path}" if self.path else ""
        return f"classmate({self.kind}{start})"
