"""The trainer: one class for every method, based on the Trainer of transformers.

transformers provides the optimiser, the learning-rate schedule, precision, processes, checkpoints
and loggers. What a step learns from is decided here. The dataloader gives the examples of a whole
optimiser step and the method's source gives the responses to them. The responses are split into
micro-batches of similar lengths, and the losses are normalised by the token counts of the whole
step over all processes. So for given responses, neither the split nor the number of processes
changes the gradient.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import torch
from transformers import Trainer
from transformers.integrations.deepspeed import unset_hf_deepspeed_config

from kdbench.errors import InputError
from kdbench.generate.decoding.guard import SoundDecodings
from kdbench.system.files import writing_to
from kdbench.training.aligned import AlignedView
from kdbench.training.compiled import compiler_for
from kdbench.training.context import Context
from kdbench.training.draw import StepDraw
from kdbench.training.engine_sampling import EngineSampler
from kdbench.training.gradients import StudentGradients
from kdbench.training.hidden_parameters import refuse_hidden_parameters
from kdbench.training.learning import StepLearner
from kdbench.training.loss import STUDENT
from kdbench.training.memory import ProcessMemory
from kdbench.training.objective import Objective
from kdbench.training.optimizers import optimizer_for
from kdbench.training.parts import Parts
from kdbench.training.phases import Phases, release_memory
from kdbench.training.planned import PlanningDraw, Upcoming, rows_of
from kdbench.training.rollouts.build import engine_rollouts
from kdbench.training.rollouts.running import EngineRollouts
from kdbench.training.router import RouterLoss
from kdbench.training.sampling import RolloutSampler
from kdbench.training.schedule import Schedule, ValidationSignals
from kdbench.training.seen import check_schedule, check_values, sizes_of, start_companions
from kdbench.training.selection import StudentSelection
from kdbench.training.sharding import (
    find_root,
    is_sharded,
    turn_fsdp_on,
    whole_state,
    whole_weights,
)
from kdbench.training.signals import note_learned, step_signals
from kdbench.training.source import FromDataset, FromTeacher, Source
from kdbench.training.state import RunState
from kdbench.training.step import StepOutcome, StepWork
from kdbench.training.validation import Validator
from kdbench.training.watched import Watch
from kdbench.training.work import Work
from kdbench.views.rollout import Example, response_tokens
from kdbench.views.tokenizers import vocabulary_size
from kdbench.views.view import ModelView, View, bare_model

SomeDraw = TypeVar("SomeDraw", bound=StepDraw)


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
        views: The views by name; empty before `begin`.
        parts: The method's own modules; made by `begin`.
        run_state: What is saved in addition to transformers' checkpoints; made by `begin`.
        rollouts: The engine that generates the student's responses; None if the trainer does.
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
        self.views: dict[str, View] = {}
        self._router = RouterLoss(model, work.router_loss) if work.router_loss else None
        self._outcome: StepOutcome | None = None
        self._upcoming = Upcoming(0 if work.rollouts is None else work.rollouts.lag)
        self.rollouts: EngineRollouts | None = None

    def create_accelerator_and_postprocess(self) -> None:
        """Make the accelerator, with FSDP wherever it is asked for."""
        super().create_accelerator_and_postprocess()
        turn_fsdp_on(self.accelerator)
        if self.is_deepspeed_enabled:
            unset_hf_deepspeed_config()  # models that are loaded from now on stay whole
        self.is_fsdp_enabled = getattr(self.accelerator.state, "fsdp_plugin", None) is not None

    def begin(self, checkpoint: Path | None) -> None:
        """Make views and parts, now that the student is wrapped, and restore a checkpoint's state.

        Raises:
            InputError: the method needs a view that this run does not have, holds parameters that
                would not be trained, or the student does not decode as its forward pass does.
        """
        find_root(self.model_wrapped)
        with whole_weights(self.accelerator, self.model_wrapped):
            self._begin(checkpoint)

    def _begin(self, checkpoint: Path | None) -> None:
        triple, work = self._triple, self.work
        decodings = SoundDecodings(work.vocabulary)
        decodings.of(bare_model(self.model))
        self.views[STUDENT] = self._view(self.model_wrapped)
        self._unwrapped_view = self._view(self.model)
        if work.teacher is not None:
            self.views["teacher"] = self._teacher_view()
        elif work.cached_teacher is not None:
            self.views["teacher"] = work.cached_teacher
        modules: dict[str, Any] = {}
        context = self._context(modules)
        start_companions(triple, context, self.views)
        self.parts = Parts(
            triple.parts,
            sizes_of(self.views, work.vocabulary),
            self.args.device,
            context.optimizer_for,
            context.max_grad_norm,
            self.args.seed,
        )
        modules |= self.parts.modules
        members: list[Objective | Source | Schedule] = [term.objective for term in triple.terms]
        members += [triple.source, triple.schedule]
        for member in members:
            member.begin(context)
        for companion in triple.companions:
            companion.begin(context)
        refuse_hidden_parameters(members, context)
        check_schedule(triple, self._schedule_values)
        # Each forward pass of the wrapped student broadcasts its buffers, and processes that score
        # different numbers of responses would wait for each other for ever.
        scored: dict[str, View] = {**self.views, STUDENT: self._unwrapped_view}
        models = (work, self.model, decodings, scored, self._autocast, self.phases)
        self._sampler = RolloutSampler(*models)
        if work.rollouts is not None:
            self.rollouts = engine_rollouts(
                work.rollouts,
                self.model,
                work.tokenizer,
                work.sampling,
                max(len(example.prompt_ids) for example in work.train),
                work.generation_batch_size,
            )
            weighs = any(term.objective.weighs_rollouts for term in triple.terms)
            self._sampler = EngineSampler(
                self.rollouts,
                work.rollouts.weight_clip if weighs else None,
                (self.memory.notes, self.memory.whole_run),
                lambda: self._logs_this_step,
                *models,
            )
        self._validator = Validator(work, self.accelerator, decodings, self._autocast, self.phases)
        self._watch = Watch(
            work.watch,
            context,
            work,
            self.accelerator,
            decodings,
            self.phases,
            self._autocast,
        )
        self._learner = StepLearner(
            triple.terms,
            self.views,
            self.parts,
            compiler_for(self.args.device, work.compile_loss),
            self.accelerator,
            work.micro_batch_size,
            work.chunk_tokens,
            self._router,
            self.memory.notes,
        )
        self.run_state = RunState(
            triple, self.phases, self.memory, self.selection, self.parts, self.accelerator
        )
        if checkpoint is not None:
            self.run_state.restore(checkpoint)
            if self.rollouts is not None:
                self.rollouts.restore(checkpoint / self._rollouts_file)
        if self.rollouts is not None and self.state.global_step < self.state.max_steps:
            self.rollouts.begin(self.state.global_step)

    def close(self) -> None:
        """End what runs beside this process; may be called twice."""
        if self.rollouts is not None:
            self.rollouts.close()

    # An optimiser step

    def get_batch_samples(
        self, epoch_iterator: Iterator[Any], num_batches: int, _: Any
    ) -> tuple[list[Any], Any]:
        """Add the responses of an optimiser step, and its amounts over all processes."""
        batches, step = self._upcoming.take(epoch_iterator, num_batches), self.state.global_step
        for later, inputs in enumerate([*batches, *self._upcoming.later]):
            self._plan(step + later, inputs["examples"])
        for inputs in batches:
            draw = self._draw(StepDraw, step, inputs["examples"])
            with self._whole_for_source():
                given = self._triple.source.rollouts(draw)
            rollouts = self._triple.check_rollouts(given, self.work.vocabulary)
            self.memory.add_rollouts(rollouts)
            inputs["work"] = self._learner.work_of(rollouts, self._sums_over_processes)
        return batches, None

    def _plan(self, step: int, examples: Sequence[Example]) -> None:
        """Have a step's responses generated ahead, with the student as it is now."""
        rollouts, plan, now = self.rollouts, self.work.rollouts, self.state.global_step
        if rollouts is None or plan is None or not plan.lag:
            return
        if step < self.state.max_steps and not rollouts.knows(step):
            draw = self._draw(PlanningDraw, step, examples)
            rollouts.ask(step, rows_of(self._triple.source, draw), now)

    def _draw(self, kind: type[SomeDraw], step: int, examples: Sequence[Example]) -> SomeDraw:
        return kind(
            self._sampler,
            seed=self.args.seed,
            step=step,
            process=self.accelerator.process_index,
            examples=examples,
            size=self.args.per_device_train_batch_size,
            train=self.work.train,
            schedule=self._schedule_values,
            sum_over_processes=self._sums_over_processes,
            note=self._note,
            processes=self.accelerator.num_processes,
        )

    def _whole_for_source(self) -> AbstractContextManager[None]:
        """Whole weights for a source that may ask the student."""
        source = self._triple.source
        asks = source.gives_samples or STUDENT in source.views
        if type(source.inner) in (FromDataset, FromTeacher) and not asks:
            return nullcontext()
        return whole_weights(self.accelerator, self.model_wrapped)

    def training_step(self, model: Any, inputs: Mapping[str, Any], _: Any = None) -> torch.Tensor:
        """Forward and backward over all micro-batches of a step; the loss is over all tokens."""
        model.train()
        work: StepWork = inputs["work"]
        step, learning_rate = self.state.global_step + 1, float(self._get_learning_rate())
        diagnose = self._logs_this_step or self._triple.schedule.diagnoses
        schedule = self._schedule_values
        self.parts.zero_grad()
        with self.phases("train", response_tokens(work.rollouts)):
            learned = self._learner.learn(model, work, schedule, diagnose)
        loss = learned.loss
        if not torch.isfinite(loss):
            raise InputError(
                f"the loss of step {step} is not finite: lower learning_rate=, or try "
                "precision=float32"
            )
        if work.passes:
            self.parts.step(learning_rate, partial(self.accelerator.reduce, reduction="mean"))
        note_learned(self.memory.notes, self._triple.terms, learned, work)
        loss = loss * self.accelerator.num_processes  # the log has the mean over processes
        self.memory.notes.add("loss", float(loss), 1)
        self.memory.whole_run.add("train_loss", float(loss), 1)
        self._outcome = StepOutcome(
            step, inputs["examples"], work, learned, learning_rate, schedule
        )
        return loss

    def take_outcome(self) -> StepOutcome:
        """The outcome of the last step; each outcome can be taken once."""
        outcome, self._outcome = self._outcome, None
        assert outcome is not None  # noqa: S101 - asked for once after each step
        return outcome

    def after_step(self, outcome: StepOutcome) -> None:
        """Update schedule and companions, now that the student's weights are those after the step.

        Args:
            outcome: Of the step just taken.
        """
        triple, steps = self._triple, self.state.max_steps
        diagnoses = triple.schedule.diagnoses
        signals = step_signals(outcome, triple.terms, steps, diagnoses, self._sums_over_processes)
        triple.schedule.after_step(signals)
        if triple.companions:
            with self.phases("companion"), whole_weights(self.accelerator, self.model_wrapped):
                for companion in triple.companions:
                    companion.after_step(outcome)
        release_memory()

    @property
    def _schedule_values(self) -> Mapping[str, float]:
        """The schedule's values in the next step."""
        progress = self.state.global_step / max(1, self.state.max_steps)
        return check_values(self._triple, self._triple.schedule.values(progress))

    # Views and companion

    def _view(self, model: Any) -> ModelView:
        view = ModelView(model, self.work.vocabulary, autocast=self._autocast)
        view.check()
        return view

    def _teacher_view(self) -> ModelView:
        """The teacher's view, over the student's tokens or, with a reader, over its own."""
        reader, way = self.work.reader, self._triple.bridges
        own = self.work.vocabulary if reader is None else vocabulary_size(reader.teacher)
        view = ModelView(self.work.teacher, own)
        view.check()
        view.bring_head(self.args.device)
        return view if reader is None or way is None else AlignedView(view, reader, way)

    def _context(self, modules: Mapping[str, Any]) -> Context:
        return Context(
            student=self.model,
            teacher=self.work.teacher,
            views=self.views,
            vocabulary=self.work.vocabulary,
            tokenizer=self.work.tokenizer,
            train=self.work.train,
            valid=self.work.valid,
            parts=modules,
            sampling=self.work.sampling,
            statistics=self.work.statistics,
            device=self.args.device,
            max_grad_norm=float(self.args.max_grad_norm),
            micro_batch_size=self.work.micro_batch_size,
            chunk_tokens=self.work.chunk_tokens,
            student_at_start=self.work.student_at_start,
            optimizer_for=partial(optimizer_for, self),
            autocast=self._autocast,
            sum_over_processes=self._sum_over_processes,
            note=self._note,
            gradients=StudentGradients(
                self.model,
                self._unwrapped_view,
                self.views,
                modules,
                self.args.device,
                self.work.chunk_tokens,
            ),
        )

    def _note(self, name: str, value: float) -> None:
        try:
            number = float(value)
        except (TypeError, ValueError):
            number = math.nan
        if not math.isfinite(number):
            raise InputError(f"the note '{name}' is {value!r}: must be a finite number")
        self.memory.notes.add(name, number, 1)

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
        """Validate the student, and its companions; keep the student if it is the best so far."""
        validation = {"step": float(self.state.global_step)}
        own_losses: dict[str, float] = {}
        with self.phases("validate"), whole_weights(self.accelerator, self.model_wrapped):
            validation |= self._validator.measure(self._unwrapped_view, self.model)
            validation |= self._watch.measure(self._unwrapped_view)
            for companion in self._triple.companions:
                if companion.model() is None:
                    continue
                view = self.views[companion.name]
                measured = self._validator.measure(view, companion.model())
                validation |= {f"{companion.name}_{name}": measured[name] for name in measured}
                own_losses[companion.name] = measured["loss"]
            signals = self._validation_signals(validation["loss"])
        self._triple.schedule.after_validation(signals)
        for companion in self._triple.companions:
            companion.after_validation(validation["loss"], own_losses.get(companion.name))
        self.selection.add(validation, self._save_student)
        metrics = {f"eval_{name}": value for name, value in validation.items() if name != "step"}
        self.log(dict(metrics))
        call = self.callback_handler.on_evaluate
        self.control: Any = call(self.args, self.state, self.control, metrics)
        return metrics

    def _validation_signals(self, loss: float) -> ValidationSignals:
        schedule = self._triple.schedule
        if not schedule.views and schedule.domain is None:
            return ValidationSignals(loss)
        views = {name: self.views[name] for name in schedule.views if name != STUDENT}
        views = {STUDENT: self._unwrapped_view, **views}
        return self._validator.signals(loss, views, schedule.domain)

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Save the weights, except those of a sharded student's state, which has the shards."""
        if not is_sharded(self.model_wrapped):
            super().save_model(output_dir, _internal_call)

    def _save_student(self, folder: str) -> None:
        """Save the student as a plain checkpoint; called on every process."""
        whole = whole_state(self)
        if whole is None:
            self.save_model(folder, _internal_call=True)
        else:
            self._save(folder, state_dict=whole)
        if self.args.should_save:
            self.parts.save(Path(folder))

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
        of_steps, self.state.epoch = self.state.epoch, self.epochs
        super().log(logs, start_time)
        self.state.epoch = of_steps

    @property
    def epochs(self) -> float:
        """How many prompts were used so far, as a share of the training set's."""
        size = int(self.args.per_device_train_batch_size)
        share = self._triple.source.prompts_per_step(size) / size
        return float(self.state.epoch or 0.0) * share

    @property
    def _logs_this_step(self) -> bool:
        step = self.state.global_step + 1
        return step == 1 or bool(step % int(self.args.logging_steps) == 0)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        """Save what transformers keeps, and then the rest, which makes the checkpoint valid."""
        with writing_to(self.args.output_dir):
            super()._save_checkpoint(model, trial)
        folder = Path(self.args.output_dir) / f"checkpoint-{self.state.global_step}"
        if self.rollouts is not None:
            self.rollouts.save(folder / self._rollouts_file)
        self.run_state.save(folder, first=self.args.should_save)

    @property
    def _rollouts_file(self) -> str:
        return f"rollouts_{self.accelerator.process_index}.json"
