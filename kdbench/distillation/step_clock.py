"""The clocks of a training whose steps are timed: on the wall, of the processor, and of tokens."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

from transformers import TrainerCallback

from kdbench.store.timings import Cost, StepTiming
from kdbench.system.company import Company
from kdbench.training.phases import Phases, wait_for_device
from kdbench.training.trainer import DistillationTrainer
from kdbench.views.view import bare_model

WARM_UP = 1
"""Steps of each stage that are not timed: the first allocates, and may compile."""


class ClockedPhases(Phases):
    """Phases that count the seconds of the processor too."""

    def __init__(self) -> None:
        super().__init__()
        self.processor: dict[str, float] = {}

    @contextmanager
    def __call__(self, name: str, tokens: int = 0) -> Iterator[None]:
        """Time a phase on both clocks."""
        start = time.process_time()
        try:
            with super().__call__(name, tokens):
                yield
        finally:
            spent = time.process_time() - start
            self.processor[name] = self.processor.get(name, 0.0) + spent

    def cost(self, *names: str) -> Cost:
        """What phases have taken by now."""
        return Cost(
            seconds=sum(self.seconds.get(name, 0.0) for name in names),
            processor_seconds=sum(self.processor.get(name, 0.0) for name in names),
            tokens=sum(self.tokens.get(name, 0) for name in names),
        )


class _Reading(NamedTuple):
    """The clocks and counters at the end of a step."""

    seconds: float
    processor: float
    train: int
    generating: Cost
    tokens: dict[str, int]


class StepClock(TrainerCallback):
    """Reads the clocks after each step, and stops the training when enough are timed.

    Args:
        trainer: The trainer.
        wanted: Steps to time.

    Attributes:
        steps: The warm-up step and the timed ones.
        began: When the first step began, on the clock of `time.perf_counter`.
        others: Share of the machine's processor time that others took in the timed steps.
    """

    def __init__(self, trainer: DistillationTrainer, wanted: int):
        self._trainer, self._wanted = trainer, wanted
        self._counter: _TokenCounter | None = None
        self._company, self._last = Company(), self._read()
        self.steps, self.began = list[StepTiming](), 0.0
        self.others: float | None = None

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        """Start the clocks, now that the models are there and the student has been validated."""
        self._counter = _TokenCounter(self._trainer)
        self._last = self._read()
        self.began = self._last.seconds

    def on_step_end(self, _: Any, __: Any, control: Any, **___: Any) -> Any:
        """Time the step; neither validate nor save after it."""
        now = self._read()
        self.steps.append(self._step(self._last, now))
        if len(self.steps) == WARM_UP:
            self._company = Company()
        control.should_evaluate = control.should_save = False
        if len(self.steps) >= WARM_UP + self._wanted:
            self.others = self._company.share()
            control.should_training_stop = True
        self._last = self._read()
        return control

    def close(self) -> None:
        """Count no more tokens."""
        if self._counter is not None:
            self._counter.close()

    def _read(self) -> _Reading:
        wait_for_device()
        phases: Any = self._trainer.phases
        tokens = {} if self._counter is None else dict(self._counter.tokens)
        generating = phases.cost("generate", "record")
        trained = phases.tokens.get("train", 0)
        return _Reading(time.perf_counter(), time.process_time(), trained, generating, tokens)

    def _step(self, before: _Reading, now: _Reading) -> StepTiming:
        whole = Cost(
            seconds=now.seconds - before.seconds,
            processor_seconds=now.processor - before.processor,
            tokens=now.train - before.train,
        )
        early, late = before.generating, now.generating
        generating = Cost(
            seconds=late.seconds - early.seconds,
            processor_seconds=late.processor_seconds - early.processor_seconds,
            tokens=late.tokens - early.tokens,
        )
        return StepTiming(
            whole=whole, generating=generating, **self._tokens(before, now, generating)
        )

    def _tokens(self, before: _Reading, now: _Reading, generating: Cost) -> dict[str, int | None]:
        """Tokens that went through each model; decoding on a GPU replays what was recorded once."""
        unseen = generating.tokens and self._trainer.args.device.type == "cuda"
        return {
            f"{name}_tokens": None if unseen else now.tokens[name] - before.tokens[name]
            for name in _COUNTED
        }


_COUNTED = ("student", "teacher", "other")


class _TokenCounter:
    """Counts the tokens that go through the models of a training, at their embeddings."""

    def __init__(self, trainer: DistillationTrainer):
        self.tokens = dict.fromkeys(_COUNTED, 0)
        named = [("student", bare_model(trainer.model)), ("teacher", trainer.work.teacher)]
        named += [("other", getattr(view, "bare", None)) for view in trainer.views.values()]
        self._handles, seen = [], set[int]()
        for name, model in named:
            embeddings = None if model is None else bare_model(model).get_input_embeddings()
            if embeddings is None or id(embeddings) in seen:
                continue
            seen.add(id(embeddings))
            self._handles.append(embeddings.register_forward_pre_hook(partial(self._count, name)))

    def _count(self, name: str, _: Any, given: tuple[Any, ...]) -> None:
        self.tokens[name] += int(given[0].numel())

    def close(self) -> None:
        """Remove the hooks."""
        for handle in self._handles:
            handle.remove()
