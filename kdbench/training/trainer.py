"""The trainer: one class for every method, on the Trainer of transformers.

transformers does optimiser, schedule of the learning rate, precision, processes, checkpoints and
loggers. What a step learns from is ours: the dataloader gives the prompts of a whole optimiser
step; the method's source answers them; the responses are split into micro-batches of equal lengths,
whose losses are normalised by the token counts of the whole step over all processes. So neither
the split nor the number of processes changes the gradient.
"""

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from transformers import Trainer

from kdbench.errors import InputError
from kdbench.generate import Row, Sample
from kdbench.generate.decoding.generator import Generator
from kdbench.generate.decoding.guard import SoundDecodings
from kdbench.generate.decoding.kinds import of_mixture
from kdbench.protocol import Protocol
from kdbench.training.draw import StepDraw
from kdbench.training.loss import STUDENT, distillation_loss, target_log_probs
from kdbench.training.notes import Notes
from kdbench.training.phases import Phases, release_memory
from kdbench.training.state import best_folder, restore_state, save_state
from kdbench.training.triple import Triple
from kdbench.training.validation import loss_sum, rouge_sum
from kdbench.views.rollout import Batch, Example, Rollout
from kdbench.views.view import ModelView, View, bare_model


@dataclass(frozen=True)
class Work:
    """What a trainer is given beside transformers' own arguments.

    Attributes:
        triple: the method.
        teacher: the teacher's model, None for methods without one.
        tokenizer: of student and teacher.
        train: training examples.
        valid: validation examples for the loss.
        sampled: those of them that are answered for ROUGE-L.
        sampling: lengths and decoding of the student's responses in training.
        validation_sampling: the same in validation.
        micro_batch_size: rows of one forward pass.
        generation_batch_size: rows that decode at once; None is found from the free memory.
        select: what decides which checkpoint is the best one.
        student_at_start: loads the student as it was before training.
        chunk_tokens: positions of one chunk of the loss; None is found.
    """

    triple: Triple
    teacher: Any
    tokenizer: Any
    train: Sequence[Example]
    valid: Sequence[Example]
    sampled: Sequence[Example]
    sampling: Protocol
    validation_sampling: Protocol
    micro_batch_size: int
    generation_batch_size: int | None
    select: str
    student_at_start: Callable[[], Any]
    chunk_tokens: int | None = None


class DistillationTrainer(Trainer):
    """Trains a student by any method.

    Args:
        model: the student, perhaps with LoRA.
        args: transformers' TrainingArguments; the batch size of a device is its share of the whole
            optimiser step, gradient accumulation 1.
        work: the rest.
        callbacks: of transformers.
    """

    def __init__(self, model: Any, args: Any, work: Work, callbacks: Sequence[Any] = ()):
        super().__init__(
            model=model,
            args=args,
            train_dataset=list(work.train),
            data_collator=lambda examples: {"examples": examples},
            processing_class=work.tokenizer,
            callbacks=list(callbacks),
        )
        self.work, self.triple = work, work.triple
        self.phases = Phases()
        self.validations: list[dict[str, float]] = []
        self.best: dict[str, float] | None = None
        self.tokenizer = work.tokenizer
        self.vocabulary = len(work.tokenizer)
        self.micro_batch_size = work.micro_batch_size
        self.views: dict[str, View] = {}
        self._decodings = SoundDecodings(self.vocabulary)
        self.advance: Callable[[], None] = lambda: None
        self.notes = Notes()
        self._rate = 0.0
        self._done: tuple[Sequence[Example], torch.Tensor] | None = None

    # What a step learns from

    def get_batch_samples(
        self, epoch_iterator: Iterator[Any], num_batches: int, _: Any
    ) -> tuple[list[Any], Any]:
        """The rollouts of an optimiser step, and their tokens by origin over all processes."""
        found = list(islice(epoch_iterator, num_batches))
        for inputs in found:
            key = (self.args.seed, self.state.global_step, self.accelerator.process_index)
            size, everything = self.args.per_device_train_batch_size, self.work.train
            values = self.schedule_values
            draw = StepDraw(self, key, inputs["examples"], size, everything, values)
            inputs["rollouts"] = self.triple.source.rollouts(draw)
            inputs["counts"] = self._count_everywhere(inputs["rollouts"])
        return found, None

    def training_step(self, model: Any, inputs: Mapping[str, Any], _: Any = None) -> torch.Tensor:
        """Forward and backward over all micro-batches of the step; the loss is over all tokens."""
        model.train()
        self._rate = float(self._get_learning_rate())
        total = torch.zeros((), device=self.args.device)
        parts = self._micro_batches(inputs["rollouts"])
        tokens = sum(len(one.response_ids) for one in inputs["rollouts"])
        with self.phases("train", tokens):
            for number, part in enumerate(parts, start=1):
                last = number == len(parts)
                with nullcontext() if last else self.accelerator.no_sync(model):
                    total += self._learn_from(part, inputs["counts"])
        if not torch.isfinite(total):
            raise InputError(
                f"the loss of step {self.state.global_step + 1} is not finite: lower "
                "learning_rate=, or try precision=float32"
            )
        self._done = (inputs["examples"], total)
        return total * self.accelerator.num_processes  # transformers logs the mean over processes

    def _learn_from(self, part: Sequence[Rollout], counts: Mapping[str, int]) -> torch.Tensor:
        loss = distillation_loss(
            self.triple.terms,
            Batch(part, self.args.device),
            self.views,
            counts,
            self.schedule_values,
            self.work.chunk_tokens,
            diagnose=self._logs_this_step,
        )
        # Processes average their gradients; the loss is a share of the sum.
        self.accelerator.backward(loss.value * self.accelerator.num_processes)
        for term in self.triple.terms:
            if str(term) in loss.terms:
                on = sum(len(r.response_ids) for r in part if not term.on or r.origin in term.on)
                self.notes.add(f"loss/{term}", float(loss.terms[str(term)]), on)
        for name, (sum_of_it, count) in loss.diagnostics.items():
            self.notes.add(name, float(sum_of_it), count)
        return loss.value.detach()

    def _micro_batches(self, rollouts: Sequence[Rollout]) -> list[list[Rollout]]:
        """Rows of about equal length together, which saves padding; the sum is the same."""
        size = self.work.micro_batch_size
        ordered = sorted(rollouts, key=lambda one: len(one.prompt_ids) + len(one.response_ids))
        return [ordered[start : start + size] for start in range(0, len(ordered), size)]

    def _count_everywhere(self, rollouts: Sequence[Rollout]) -> dict[str, int]:
        origins = ("dataset", "teacher", "student", "pretraining")
        own = [sum(len(r.response_ids) for r in rollouts if r.origin == o) for o in origins]
        summed = self.sum_over_processes(torch.tensor(own, device=self.args.device))
        return dict(zip(origins, summed.tolist(), strict=True))

    def after_step(self) -> None:
        """The student has taken a step: schedule and companion take theirs."""
        assert self._done is not None  # noqa: S101
        examples, loss = self._done
        everywhere = float(self.sum_over_processes(loss))
        step = self.state.global_step
        self.triple.schedule.after_step(everywhere, step / max(1, self.state.max_steps))
        if self.triple.companion:
            with self.phases("companion"):
                self.triple.companion.after_step(self, step, examples)
        release_memory()

    # Views, and what companions and sources find beside them

    def begin(self, checkpoint: Path | None) -> None:
        """Make the views, now that the student is wrapped; go on from a checkpoint's state.

        Raises:
            InputError: the method looks through a view that is not there, or the student does not
                decode as its forward pass says.
        """
        self._decodings.of(bare_model(self.model))
        self.views = {STUDENT: self._view(self.model_wrapped)}
        self._plain_view = self._view(self.model)
        if self.work.teacher is not None:
            self.views["teacher"] = self._view(self.work.teacher)
        if self.triple.companion:
            self.views[self.triple.companion.name] = self.triple.companion.start(self)
        missing = self.triple.views - set(self.views)
        if missing:
            raise InputError(f"this method looks through '{missing.pop()}', which is not there")
        if checkpoint is not None:
            restore_state(self, checkpoint)

    def _view(self, model: Any) -> ModelView:
        autocast = nullcontext if model is self.work.teacher else self.autocast
        view = ModelView(model, self.vocabulary, autocast=autocast)
        view.check()
        return view

    @property
    def student(self) -> Any:
        """The student's model."""
        return self.model

    @property
    def learning_rate(self) -> float:
        """The student's at the step just taken."""
        return self._rate

    @property
    def max_grad_norm(self) -> float:
        """Gradients are clipped to it."""
        return float(self.args.max_grad_norm)

    def optimizer_for(self, model: Any) -> Any:
        """An optimiser of the student's kind for another model."""
        kind, options = self.get_optimizer_cls_and_kwargs(self.args, model)
        decayed = set(self.get_decay_parameter_names(model))
        parts: dict[bool, list[Any]] = {True: [], False: []}
        for name, parameter in model.named_parameters():
            parts[name in decayed].append(parameter)
        decay = self.args.weight_decay
        groups = [{"params": parts[on], "weight_decay": decay if on else 0.0} for on in parts]
        return kind(groups, **options)

    @property
    def schedule_values(self) -> Mapping[str, float]:
        """The schedule's values at this step."""
        progress = self.state.global_step / max(1, self.state.max_steps)
        return self.triple.schedule.values(progress)

    def student_at_start(self) -> Any:
        """Another copy of the student as it was before training."""
        return self.work.student_at_start()

    def autocast(self) -> AbstractContextManager[None]:
        """The precision of the training."""
        context: AbstractContextManager[None] = self.accelerator.autocast()
        return context

    def sum_over_processes(self, value: torch.Tensor) -> torch.Tensor:
        """The sum of every process's tensor."""
        summed: torch.Tensor = self.accelerator.reduce(value.detach().clone(), "sum")
        return summed

    # What sources ask for

    def sample(self, rows: Sequence[Row], teacher_weight: float = 0.0) -> list[Sample]:
        """Responses of the student, or of its mixture with the teacher, in the rows' order."""
        model = bare_model(self.model)
        begin = self._decodings.of(model)
        if teacher_weight:
            teacher = self._decodings.of(self.work.teacher)
            begin = of_mixture(begin, teacher, teacher_weight)
        size = self.work.generation_batch_size
        generator = Generator(model, self.work.tokenizer, self.work.sampling, size, begin)
        self.model.eval()
        found = {}
        # Entered once, autocast keeps its casts of the weights for the whole generation.
        with self.phases("generate"), self.autocast():
            for batch in generator.batches(rows):
                for sample in generator.generate(batch, ()):
                    found[sample.document, sample.seed] = sample
        self.phases.count("generate", sum(len(sample.tokens) for sample in found.values()))
        return [found[row.document, row.seed] for row in rows]

    def score(self, rollouts: Sequence[Rollout], view: str) -> list[list[float]]:
        """Log-probability of each response token under a view as it is now."""
        found, size = [], self.micro_batch_size
        self.model.eval()
        with self.phases("record"), torch.no_grad():
            for start in range(0, len(rollouts), size):
                batch = Batch(rollouts[start : start + size], self.args.device)
                found += target_log_probs(batch, self.views[view], self.work.chunk_tokens)
        return found

    # Validation and selection

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        """Validation loss and sampled ROUGE-L; keeps the best student so far."""
        step = self.state.global_step
        with self.phases("validate"):
            found = {"step": float(step), **self._validate(self._plain_view, self.model)}
            own_loss = self._validate_companion(found)
        self.validations.append(found)
        self.triple.schedule.after_validation(found["loss"])
        if self.triple.companion:
            self.triple.companion.after_validation(found["loss"], own_loss)
        self._keep_if_best(found)
        metrics = {f"eval_{name}": value for name, value in found.items() if name != "step"}
        self.log(dict(metrics))
        call = self.callback_handler.on_evaluate
        self.control: Any = call(self.args, self.state, self.control, metrics)
        return metrics

    def _validate(self, view: Any, model: Any) -> dict[str, float]:
        share = slice(self.accelerator.process_index, None, self.accelerator.num_processes)
        model.eval()
        loss, tokens = loss_sum(
            view, self.work.valid[share], self.micro_batch_size, self.args.device
        )
        with self.autocast():
            rouge, responses, generated = rouge_sum(
                model,
                self.work.tokenizer,
                self.work.sampled[share],
                self.work.validation_sampling,
                self.work.generation_batch_size,
                self._decodings.of(bare_model(model)),
            )
        self.phases.count("validate", tokens + generated)
        sums = torch.tensor([loss, tokens, rouge, responses], device=self.args.device)
        loss, tokens, rouge, responses = self.sum_over_processes(sums).tolist()
        return {"loss": loss / max(tokens, 1), "rougeL": rouge / max(responses, 1)}

    def _validate_companion(self, found: dict[str, float]) -> float | None:
        companion = self.triple.companion
        if companion is None or companion.model() is None:
            return None
        measured = self._validate(self.views[companion.name], companion.model())
        found.update({f"{companion.name}_{name}": value for name, value in measured.items()})
        return measured["loss"]

    def _keep_if_best(self, found: dict[str, float]) -> None:
        """The student before training is no candidate."""
        sign = {"rougeL": 1, "loss": -1}.get(self.work.select)
        if found["step"] == 0:
            return
        if self.best and sign:
            kept, new = self.best[self.work.select], found[self.work.select]
            if not sign * new > sign * kept:
                return
        self.best = dict(found)
        best = best_folder(Path(self.args.output_dir), found["step"])
        unfinished = best.with_name(f".{best.name}.unfinished")
        if self.args.should_save:
            shutil.rmtree(unfinished, ignore_errors=True)
            shutil.rmtree(best, ignore_errors=True)  # of a run that was killed after this
        self.save_model(str(unfinished), _internal_call=True)
        if self.args.should_save:
            unfinished.rename(best)

    def best_model(self) -> Any:
        """The selected student, an adapter merged into its weights."""
        assert self.best is not None  # noqa: S101 - the last step is always validated
        folder = best_folder(Path(self.args.output_dir), self.best["step"])
        if hasattr(self.model, "merge_and_unload"):
            self.model.load_adapter(str(folder), "default")
            return self.model.merge_and_unload()
        return type(self.model).from_pretrained(folder, dtype=self.model.dtype)

    # Logs

    @property
    def _logs_this_step(self) -> bool:
        step = self.state.global_step + 1
        return step == 1 or bool(step % int(self.args.logging_steps) == 0)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add each term's mean, the diagnostics and the schedule's values."""
        if "loss" in logs:
            logs |= self.notes.take_means()
            logs |= {f"schedule/{name}": value for name, value in self.schedule_values.items()}
        super().log(logs, start_time)

    # State on disk

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        """Save what transformers keeps, then ours, which makes it valid."""
        super()._save_checkpoint(model, trial)
        save_state(self, Path(self.args.output_dir) / f"checkpoint-{self.state.global_step}")
