"""The trainer: one class for every method, based on the Trainer of transformers.

transformers provides the optimiser, the learning-rate schedule, precision, processes, checkpoints
and loggers. What a step learns from is decided here. The dataloader gives the examples of a whole
optimiser step and the method's source gives the responses to them. The responses are split into
micro-batches of similar lengths, and the losses are normalised by the token counts of the whole
step over all processes. So for given responses, neither the split nor the number of processes
changes the gradient.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from transformers import Trainer

from kdbench.errors import InputError
from kdbench.generate.decoding.guard import SoundDecodings
from kdbench.system.files import writing_to
from kdbench.training.companion import CompanionContext
from kdbench.training.draw import StepDraw
from kdbench.training.loss import STUDENT, distillation_loss
from kdbench.training.memory import ProcessMemory
from kdbench.training.optimizers import optimizer_for
from kdbench.training.phases import Phases, release_memory
from kdbench.training.router import RouterLoss
from kdbench.training.sampling import RolloutSampler
from kdbench.training.selection import StudentSelection
from kdbench.training.sharding import (
    gradients_held_back,
    turn_fsdp_on,
    whole_state,
    whole_weights,
)
from kdbench.training.state import RunState
from kdbench.training.step import StepOutcome, micro_batches
from kdbench.training.validation import Validator
from kdbench.training.work import Work
from kdbench.views.rollout import Batch, Rollout, response_tokens
from kdbench.views.view import ModelView, View, bare_model

_ORIGINS = ("dataset", "teacher", "student", "pretraining")


class DistillationTrainer(Trainer):
    """Trains a student by any method.

    `begin` must be called when training begins, and `after_step` after each optimiser step; see
    `kdbench.distillation.course`.

    Args:
        model: The student, with an adapter if there is one.
        args: transformers' TrainingArguments. The batch size of a device is its share of the whole
            optimiser step, and gradient accumulation is 1.
        work: The method, the teacher, the data and the limits.

    Attributes:
        work: The argument.
        phases: Seconds and tokens by phase.
        memory: What this process remembers.
        selection: The validations and the best student.
        run_state: What is saved in addition to transformers' checkpoints.
        views: The views by name; empty before `begin`.
    """

    def __init__(self, model: Any, args: Any, work: Work):
        super().__init__(
            model=model,
            args=args,
            train_dataset=list(work.train),
            data_collator=lambda examples: {"examples": examples},
            processing_class=work.tokenizer,
        )
        self.work, self._triple = work, work.triple
        self.phases, self.memory = Phases(), ProcessMemory()
        self.selection = StudentSelection(work.select, Path(args.output_dir), args.should_save)
        self.run_state = RunState(
            work.triple, self.phases, self.memory, self.selection, self.accelerator
        )
        self.views: dict[str, View] = {}
        self._router = RouterLoss(model, work.router_loss) if work.router_loss else None
        self._outcome: StepOutcome | None = None

    def create_accelerator_and_postprocess(self) -> None:
        """Make the accelerator, with FSDP wherever it is asked for."""
        super().create_accelerator_and_postprocess()
        turn_fsdp_on(self.accelerator)
        self.is_fsdp_enabled = getattr(self.accelerator.state, "fsdp_plugin", None) is not None

    def begin(self, checkpoint: Path | None) -> None:
        """Make the views, now that the student is wrapped, and restore a checkpoint's state.

        Raises:
            InputError: the objective needs a view that this run does not have, or the student
                does not decode as its forward pass does.
        """
        with whole_weights(self.accelerator, self.model_wrapped):
            self._begin(checkpoint)

    def _begin(self, checkpoint: Path | None) -> None:
        decodings = SoundDecodings(self.work.vocabulary)
        decodings.of(bare_model(self.model))
        self.views[STUDENT] = self._view(self.model_wrapped)
        self._unwrapped_view = self._view(self.model)
        if self.work.teacher is not None:
            self.views["teacher"] = self._view(self.work.teacher)
        if companion := self._triple.companion:
            self.views[companion.name] = companion.start(self._companion_context(0.0))
        if missing := self._triple.views - set(self.views):
            raise InputError(
                f"the objective needs the view '{missing.pop()}', and this run has only "
                f"{', '.join(self.views)}; a method adds a view by a companion of that name"
            )
        self._sampler = RolloutSampler(
            self.work, self.model, decodings, self.views, self._autocast, self.phases
        )
        self._validator = Validator(
            self.work, self.accelerator, decodings, self._autocast, self.phases
        )
        if checkpoint is not None:
            self.run_state.restore(checkpoint)

    # An optimiser step

    def get_batch_samples(
        self, epoch_iterator: Iterator[Any], num_batches: int, _: Any
    ) -> tuple[list[Any], Any]:
        """Add the rollouts of an optimiser step, and their token counts over all processes."""
        batches = list(islice(epoch_iterator, num_batches))
        for inputs in batches:
            draw = StepDraw(
                self._sampler,
                seed=self.args.seed,
                step=self.state.global_step,
                process=self.accelerator.process_index,
                examples=inputs["examples"],
                size=self.args.per_device_train_batch_size,
                train=self.work.train,
                schedule=self._schedule_values,
                sum_over_processes=self._sums_over_processes,
            )
            with whole_weights(self.accelerator, self.model_wrapped):
                inputs["rollouts"] = self._triple.source.rollouts(draw)
            self.memory.add_rollouts(inputs["rollouts"])
            inputs["counts"] = self._count_everywhere(inputs["rollouts"])
        return batches, None

    def training_step(self, model: Any, inputs: Mapping[str, Any], _: Any = None) -> torch.Tensor:
        """Forward and backward over all micro-batches of a step; the loss is over all tokens."""
        model.train()
        step, learning_rate = self.state.global_step + 1, float(self._get_learning_rate())
        loss, distillation = torch.zeros(2, device=self.args.device)
        batches = micro_batches(inputs["rollouts"], self.work.micro_batch_size)
        tokens = response_tokens(inputs["rollouts"])
        with self.phases("train", tokens):
            for number, rollouts in enumerate(batches, start=1):
                last = number == len(batches)
                with nullcontext() if last else gradients_held_back(self.accelerator, model):
                    shares = self._learn_from(rollouts, inputs["counts"])
                    loss, distillation = loss + shares[0], distillation + shares[1]
        if not torch.isfinite(loss):
            raise InputError(
                f"the loss of step {step} is not finite: lower learning_rate=, or try "
                "precision=float32"
            )
        loss *= self.accelerator.num_processes  # the log has the mean over processes
        self.memory.notes.add("loss", float(loss), 1)
        self.memory.whole_run.add("train_loss", float(loss), 1)
        self._outcome = StepOutcome(step, inputs["examples"], distillation, learning_rate)
        return loss

    def take_outcome(self) -> StepOutcome:
        """The outcome of the last step; each outcome can be taken once."""
        outcome, self._outcome = self._outcome, None
        assert outcome is not None  # noqa: S101 - asked for once after each step
        return outcome

    def after_step(self, outcome: StepOutcome) -> None:
        """Update schedule and companion, now that the student's weights are those after the step.

        Args:
            outcome: Of the step just taken.
        """
        loss = float(self._sum_over_processes(outcome.loss))
        self._triple.schedule.after_step(loss, outcome.number / max(1, self.state.max_steps))
        if companion := self._triple.companion:
            with self.phases("companion"):
                context = self._companion_context(outcome.learning_rate)
                companion.after_step(context, outcome.number, outcome.examples)
        release_memory()

    def _learn_from(
        self, rollouts: Sequence[Rollout], counts: Mapping[str, int]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Forward and backward over a micro-batch; the whole loss and that of the distillation."""
        loss = distillation_loss(
            self._triple.terms,
            Batch(rollouts, self.args.device),
            self.views,
            counts,
            self._schedule_values,
            self.work.chunk_tokens,
            diagnose=self._logs_this_step,
        )
        value = loss.value
        if self._router is not None:
            value = value + self._router.share(rollouts, counts, self.memory.notes)
        # Processes average their gradients; the loss is a share of the sum.
        self.accelerator.backward(value * self.accelerator.num_processes)
        for term in self._triple.terms:
            if str(term) in loss.terms:
                tokens = response_tokens(rollouts, term.on)
                self.memory.notes.add(f"loss/{term}", float(loss.terms[str(term)]), tokens)
        for name, (total, count) in loss.diagnostics.items():
            self.memory.notes.add(name, float(total), count)
        return value.detach(), loss.distillation

    def _count_everywhere(self, rollouts: Sequence[Rollout]) -> dict[str, int]:
        counts = [response_tokens(rollouts, {origin}) for origin in _ORIGINS]
        summed = self._sum_over_processes(torch.tensor(counts, device=self.args.device))
        return dict(zip(_ORIGINS, summed.tolist(), strict=True))

    @property
    def _schedule_values(self) -> Mapping[str, float]:
        """The schedule's values in the next step."""
        progress = self.state.global_step / max(1, self.state.max_steps)
        return self._triple.schedule.values(progress)

    # Views and companion

    def _view(self, model: Any) -> ModelView:
        autocast = nullcontext if model is self.work.teacher else self._autocast
        view = ModelView(model, self.work.vocabulary, autocast=autocast)
        view.check()
        return view

    def _companion_context(self, learning_rate: float) -> CompanionContext:
        return CompanionContext(
            student=self.model,
            views=self.views,
            vocabulary=self.work.vocabulary,
            tokenizer=self.work.tokenizer,
            learning_rate=learning_rate,
            max_grad_norm=float(self.args.max_grad_norm),
            micro_batch_size=self.work.micro_batch_size,
            student_at_start=self.work.student_at_start,
            optimizer_for=partial(optimizer_for, self),
            autocast=self._autocast,
            sum_over_processes=self._sum_over_processes,
        )

    def _autocast(self) -> AbstractContextManager[None]:
        context: AbstractContextManager[None] = self.accelerator.autocast()
        return context

    def _sum_over_processes(self, value: torch.Tensor) -> torch.Tensor:
        summed: torch.Tensor = self.accelerator.reduce(value.detach().clone(), "sum")
        return summed

    def _sums_over_processes(self, numbers: Sequence[float]) -> list[float]:
        if self.accelerator.num_processes == 1:
            return list(numbers)
        sums = torch.tensor(numbers, dtype=torch.float64, device=self.args.device)
        return list(self._sum_over_processes(sums).tolist())

    # Validation, log and state on disk: the hooks of transformers

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        """Validate the student, and its companion; keep the student if it is the best so far."""
        companion, companion_loss = self._triple.companion, None
        validation = {"step": float(self.state.global_step)}
        with self.phases("validate"), whole_weights(self.accelerator, self.model_wrapped):
            validation |= self._validator.measure(self._unwrapped_view, self.model)
            if companion and companion.model() is not None:
                view = self.views[companion.name]
                measured = self._validator.measure(view, companion.model())
                validation |= {f"{companion.name}_{name}": measured[name] for name in measured}
                companion_loss = measured["loss"]
        self._triple.schedule.after_validation(validation["loss"])
        if companion:
            companion.after_validation(validation["loss"], companion_loss)
        self.selection.add(validation, self._save_student)
        metrics = {f"eval_{name}": value for name, value in validation.items() if name != "step"}
        self.log(dict(metrics))
        call = self.callback_handler.on_evaluate
        self.control: Any = call(self.args, self.state, self.control, metrics)
        return metrics

    def _save_student(self, folder: str) -> None:
        """Save the student as a plain checkpoint; called on every process."""
        whole = whole_state(self)
        if whole is None:
            self.save_model(folder, _internal_call=True)
        else:
            self._save(folder, state_dict=whole)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add the mean of each term, the diagnostics and the schedule's values.

        transformers forgets its own sums when a run resumes, so the losses are those of the run's
        memory. The summary leaves out the speed of the last process, which the card has by phase.
        """
        if "train_loss" in logs:
            logs = self.memory.whole_run.means()
        if "loss" in logs:
            logs |= self.memory.notes.take_means()
            logs |= {f"schedule/{name}": value for name, value in self._schedule_values.items()}
        super().log(logs, start_time)

    @property
    def _logs_this_step(self) -> bool:
        step = self.state.global_step + 1
        return step == 1 or bool(step % int(self.args.logging_steps) == 0)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        """Save what transformers keeps, and then the rest, which makes the checkpoint valid."""
        with writing_to(self.args.output_dir):
            super()._save_checkpoint(model, trial)
        folder = Path(self.args.output_dir) / f"checkpoint-{self.state.global_step}"
        self.run_state.save(folder, first=self.args.should_save)
