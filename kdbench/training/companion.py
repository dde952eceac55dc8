"""A companion: a model beside the student that methods look through as one more view."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from typing import Protocol as Interface

from kdbench.checkpoint import find_checkpoint, load_checkpoint
from kdbench.divergence import forward_kl
from kdbench.errors import InputError
from kdbench.training.loss import STUDENT, distillation_loss
from kdbench.training.objective import Match, Term
from kdbench.views.rollout import Batch, Example, of_dataset
from kdbench.views.tokenizers import check_same_tokens
from kdbench.views.view import ModelView, UniformView, View, bare_model

if TYPE_CHECKING:
    import torch

Kind = Literal["trained", "frozen", "ema", "teacher", "uniform"]


class Beside(Interface):
    """What a companion finds at the trainer's side.

    Attributes:
        student: the student's model.
        views: by name, the teacher's among them.
        vocabulary: number of tokens V.
        tokenizer: of student and teacher.
        learning_rate: the student's at the step just taken.
        max_grad_norm: gradients are clipped to it.
        micro_batch_size: rows of one forward pass.
    """

    student: Any
    views: dict[str, View]
    vocabulary: int
    tokenizer: Any
    learning_rate: float
    max_grad_norm: float
    micro_batch_size: int

    def student_at_start(self) -> Any:
        """Another copy of the student as it was before training."""

    def optimizer_for(self, model: Any) -> Any:
        """An optimiser of the student's kind for another model."""

    def autocast(self) -> AbstractContextManager[None]:
        """The precision of the training."""

    def sum_over_processes(self, value: "torch.Tensor") -> "torch.Tensor":
        """The sum of every process's tensor."""


class Companion:
    """A model beside the student.

    Attributes:
        name: of its view.
    """

    name = "companion"

    def start(self, beside: Beside) -> View:
        """Make the model and give its view; called once, before a state is loaded."""
        raise NotImplementedError

    def after_step(self, beside: Beside, step: int, examples: Sequence[Example]) -> None:
        """The student has taken step number `step`, from 1; `examples` are its dataset rows."""

    def after_validation(self, student_loss: float, own_loss: float | None) -> None:
        """Validation losses of the student and of the companion."""

    def model(self) -> Any:
        """The model to validate and to save; None where there is none of its own."""
        return None

    def save(self, folder: Path) -> None:
        """Keep the state in a checkpoint's folder."""

    def restore(self, folder: Path) -> None:
        """Go on from a checkpoint's folder."""


@dataclass
class Classmate(Companion):
    """A weaker model of the student's kind (weak-model-guided distillation).

    Attributes:
        kind: `trained` beside the student by forward KL to the teacher, on the dataset alone, so
            that it stays behind; `frozen` as it starts; `ema` of the student's weights; `teacher`
            and `uniform` are controls: nothing to move away from, and mere sharpening.
        path: checkpoint that it starts from; None is the student's own start.
        every: student steps for one step of a trained classmate.
        lag: a trained classmate waits while its validation loss is below the student's plus this;
            None lets it run.
        decay: of the moving average.
    """

    kind: Kind = "trained"
    path: Path | None = None
    every: int = 2
    lag: float | None = None
    decay: float = 0.99
    name: str = field(default="classmate", init=False)
    _model: Any = field(default=None, init=False, repr=False)
    _optimizer: Any = field(default=None, init=False, repr=False)
    _view: ModelView | None = field(default=None, init=False, repr=False)
    waiting: bool = field(default=False, init=False)

    def start(self, beside: Beside) -> View:
        """The classmate's view."""
        if self.kind == "teacher":
            return beside.views["teacher"]
        if self.kind == "uniform":
            return UniformView(beside.vocabulary)
        self._model = self._load(beside)
        self._view = ModelView(self._model, beside.vocabulary, autocast=beside.autocast)
        self._view.check()
        if self.kind == "trained":
            self._optimizer = beside.optimizer_for(self._model)
        else:
            self._model.requires_grad_(False)
        if self.kind == "ema":
            self._pairs(bare_model(beside.student))
        return self._view

    def after_step(self, beside: Beside, step: int, examples: Sequence[Example]) -> None:
        """Learn from the teacher, or follow the student's weights."""
        if self.kind == "ema":
            self._follow(bare_model(beside.student))
        elif self.kind == "trained" and step % self.every == 0 and not self.waiting:
            self._learn(beside, examples)

    def after_validation(self, student_loss: float, own_loss: float | None) -> None:
        """Wait while too good."""
        if self.lag is not None and own_loss is not None:
            self.waiting = own_loss < student_loss + self.lag

    def model(self) -> Any:
        """The classmate's own model, if it has one."""
        return self._model

    def save(self, folder: Path) -> None:
        """Weights, optimiser, and whether it waits."""
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
        """What `save` kept."""
        import torch

        if self._model is None:
            return
        state = torch.load(folder / "classmate.pt", map_location=self._model.device)
        self._model.load_state_dict(state["model"])
        self.waiting = state["waiting"]
        if self._optimizer is not None:
            self._optimizer.load_state_dict(state["optimizer"])

    def _load(self, beside: Beside) -> Any:
        if self.path is None:
            return beside.student_at_start().to(bare_model(beside.student).device).eval()
        device = str(bare_model(beside.student).device)
        checkpoint = find_checkpoint(str(self.path), key="classmate_model")
        model, tokenizer = load_checkpoint(checkpoint, "float32", device)
        check_same_tokens(beside.tokenizer, tokenizer, "classmate", "classmate")
        return model

    def _pairs(self, student: Any) -> list[tuple[Any, Any]]:
        """Own parameters beside the student's."""
        own, its = list(self._model.parameters()), list(student.parameters())
        if [one.shape for one in own] != [one.shape for one in its]:
            raise InputError(
                "classmate=ema averages the student's weights: train without lora_rank= and "
                "classmate_model="
            )
        return list(zip(own, its, strict=True))

    def _follow(self, student: Any) -> None:
        import torch

        with torch.no_grad():
            for own, its in self._pairs(student):
                own.lerp_(its.to(own.dtype), 1 - self.decay)

    def _learn(self, beside: Beside, examples: Sequence[Example]) -> None:
        import torch

        rollouts = [of_dataset(example) for example in examples]
        own = torch.tensor(sum(len(r.response_ids) for r in rollouts), device=self._model.device)
        counts = {"dataset": int(beside.sum_over_processes(own))}
        assert self._view is not None  # noqa: S101 - a trained classmate has begun
        views: dict[str, View] = {STUDENT: self._view, "teacher": beside.views["teacher"]}
        self._model.train()
        self._optimizer.zero_grad()
        for start in range(0, len(rollouts), beside.micro_batch_size):
            batch = Batch(rollouts[start : start + beside.micro_batch_size], self._model.device)
            loss = distillation_loss([Term(Match(forward_kl))], batch, views, counts)
            loss.value.backward()
        self._model.eval()
        parameters = list(self._model.parameters())
        for parameter in parameters:
            if parameter.grad is not None:
                parameter.grad = beside.sum_over_processes(parameter.grad)
        torch.nn.utils.clip_grad_norm_(parameters, beside.max_grad_norm)
        for group in self._optimizer.param_groups:
            group["lr"] = beside.learning_rate
        self._optimizer.step()

    def __str__(self) -> str:
        start = f" from {self.path}" if self.path else ""
        return f"classmate({self.kind}{start})"
