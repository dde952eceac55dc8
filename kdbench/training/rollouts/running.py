"""With which weights the responses of each step are generated, and when.

The responses of step t are made with the weights after t - lag steps; at the start of training, and
of each epoch, of whose examples nothing is known before, with those of the first step. This depends
on nothing but the step, so a run with `rollout_lag=` can be repeated. The engine works in a thread
that does one thing after the other: new weights, then the responses that were asked for with them.
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel

from kdbench.errors import InputError
from kdbench.generate import Row
from kdbench.system.files import put_text
from kdbench.system.records import read_record
from kdbench.training.rollouts.engine import EngineSample, EngineStart, RolloutEngine
from kdbench.training.rollouts.export import StudentExport

Key = tuple[str, int]


@dataclass(frozen=True)
class StepResponses:
    """The responses of a step.

    Attributes:
        version: Number of optimiser steps that made the engine's weights.
        samples: The responses by document and seed.
    """

    version: int
    samples: Mapping[Key, EngineSample]


class _StoredSample(BaseModel):
    document: str
    seed: int
    tokens: tuple[int, ...]
    log_probs: tuple[float, ...]


class _StoredResponses(BaseModel):
    step: int
    version: int
    samples: list[_StoredSample]


class _State(BaseModel):
    engine: str
    ahead: list[_StoredResponses]


class EngineRollouts:
    """The engine of a run.

    Args:
        make: Starts the engine.
        export: Writes the student for it.
        start: What the engine is started with, given the student's checkpoint.
        rests: Whether the engine gives memory back after each step's responses.

    Attributes:
        facts: Name and version of the engine; empty before it ran.
    """

    def __init__(
        self,
        make: Callable[[EngineStart], RolloutEngine],
        export: StudentExport,
        start: Callable[[Path], EngineStart],
        rests: bool,
    ):
        self._make, self._export, self._start, self._rests = make, export, start, rests
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="rollouts")
        self._engine: RolloutEngine | None = None
        self._version = -1  # of the weights that the engine was given last
        self._ahead: dict[int, Future[StepResponses]] = {}
        self.facts = ""

    def knows(self, step: int) -> bool:
        """Whether a step's responses are there, or asked for."""
        return step in self._ahead

    def ask(self, step: int, rows: Sequence[Row], version: int) -> None:
        """Have the responses of a step generated with the student as it is now.

        Args:
            step: The number of the step, from 0.
            rows: What is asked; none if the step samples nothing.
            version: Number of optimiser steps that made the student.
        """
        for past in [known for known in self._ahead if known < version]:
            del self._ahead[past]  # a step that asked for nothing
        weights = self._new_weights(version) if rows else None
        work = (weights, version, tuple(rows))
        self._ahead[step] = self._thread.submit(self._answers, *work)

    def take(self, step: int, rows: Sequence[Row], version: int) -> tuple[list[EngineSample], int]:
        """The responses of a step, in the order of the rows; waits for them.

        Args:
            step: The number of the step, from 0.
            rows: What is asked.
            version: Number of optimiser steps that made the student as it is now, with which is
                generated what nobody has asked for before.

        Returns:
            The responses, and the version of the weights that made them.
        """
        future = self._ahead.pop(step, None)
        answers = None if future is None else future.result()
        if answers is None or not {_key(row) for row in rows} <= answers.samples.keys():
            self.ask(step, rows, version)
            answers = self._ahead.pop(step).result()
        return [answers.samples[_key(row)] for row in rows], answers.version

    def begin(self, version: int) -> None:
        """Start the engine with the student as it is, and wait for it.

        Raises:
            InputError: It does not start.
        """
        if self._engine is None:
            engine = self._started(version)
            if self._rests:
                self._thread.submit(engine.rest).result()

    def close(self) -> None:
        """Stop the engine, after what it does at the moment; may be called twice."""
        self._thread.shutdown(wait=True, cancel_futures=True)
        if self._engine is not None:
            self._engine.close()
            self._engine = None
        self._export.close()

    def save(self, file: Path) -> None:
        """Write the responses that were generated ahead; waits for them."""
        ahead = [
            _StoredResponses(
                step=step,
                version=(answers := future.result()).version,
                samples=[
                    _StoredSample(
                        document=document,
                        seed=seed,
                        tokens=sample.tokens,
                        log_probs=sample.log_probs,
                    )
                    for (document, seed), sample in answers.samples.items()
                ],
            )
            for step, future in sorted(self._ahead.items())
        ]
        state = _State(engine=self.facts, ahead=ahead)
        put_text(file, json.dumps(state.model_dump(mode="json")))

    def restore(self, file: Path) -> None:
        """Continue with the responses that `save` wrote.

        Raises:
            InputError: The file is missing or damaged.
        """
        state = read_record(file, _State)
        self.facts = state.engine
        for stored in state.ahead:
            samples = {
                (one.document, one.seed): EngineSample(one.tokens, one.log_probs)
                for one in stored.samples
            }
            known: Future[StepResponses] = Future()
            known.set_result(StepResponses(stored.version, samples))
            self._ahead[stored.step] = known

    def _new_weights(self, version: int) -> Path | None:
        """Give the engine the student as it is, or write the file that it shall read next."""
        if self._version == version:
            return None
        if self._engine is None:
            self._started(version)
            return None
        self._version = version
        return self._export.weights(version)

    def _started(self, version: int) -> RolloutEngine:
        """Start the engine with the student as it is."""
        folder = self._export.checkpoint()
        engine = self._thread.submit(self._make, self._start(folder)).result()
        self._engine, self._version, self.facts = engine, version, engine.facts
        return engine

    def _answers(self, weights: Path | None, version: int, rows: Sequence[Row]) -> StepResponses:
        """What the thread does."""
        engine = self._engine
        if not rows or engine is None:
            return StepResponses(version, {})
        if weights is not None:
            engine.update(weights, version)
            weights.unlink()
        samples = dict(zip(map(_key, rows), engine.sample(rows), strict=True))
        check_samples(samples)
        if self._rests:
            engine.rest()
        return StepResponses(version, samples)


def check_samples(samples: Mapping[Key, EngineSample]) -> None:
    """Check that an engine gave a finite log-probability for each token.

    Raises:
        InputError: One is missing, or is no log-probability.
    """
    for (document, _), sample in samples.items():
        fits = len(sample.log_probs) == len(sample.tokens)
        if not fits or not all(map(math.isfinite, sample.log_probs)):
            raise InputError(
                f"rollout_backend=: the engine's response to row '{document}' has "
                f"{len(sample.tokens)} tokens without as many finite log-probabilities: its "
                "weights or its arithmetic are broken (try another precision=)"
            )


def _key(row: Row) -> Key:
    return row.document, row.seed
