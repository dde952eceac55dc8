"""The contract between training and an engine that generates the student's responses."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from kdbench.generate import Row
from kdbench.protocol import Protocol


@dataclass(frozen=True)
class EngineStart:
    """What an engine is started with.

    Attributes:
        folder: A whole checkpoint of the student: configuration, tokenizer and weights.
        protocol: Length limits and decoding. Prompts are token ids, so its form has no effect.
        ends: Ids of the tokens that end a response.
        dtype: Precision of the weights, `float32` or `bfloat16`.
        options: Options of the engine itself.
        rows: Number of rows that decode at once; None lets the engine choose.
        shares_device: Whether the trainer works on the same device, and never while the engine
            generates, so that the engine may give its memory back in between.
        trust_remote_code: Whether Python code that comes with the checkpoint may run.
    """

    folder: Path
    protocol: Protocol
    ends: tuple[int, ...]
    dtype: str = "float32"
    options: Mapping[str, Any] = field(default_factory=dict)
    rows: int | None = None
    shares_device: bool = False
    trust_remote_code: bool = False


@dataclass(frozen=True)
class EngineSample:
    """A response that an engine drew.

    Attributes:
        tokens: Generated token ids, with the end token if it was chosen; at least one.
        log_probs: The engine's log-probability of each of them in nats, under the model's own
            distribution: at temperature 1, over the whole head, before bans and top-p.
    """

    tokens: tuple[int, ...]
    log_probs: tuple[float, ...]


class RolloutEngine(ABC):
    """Generates with weights that it is given.

    The sample of a row must depend on its seed, document and prompt and on the weights, and on the
    batch only as far as the engine's arithmetic does. All calls come from one thread.

    Args:
        start: The student and how it is sampled from.

    Raises:
        InputError: The engine does not start.
    """

    silent_options: ClassVar[Collection[str]] = ()
    """Names of `rollout_backend_options=` that change no sample."""

    facts: str = ""
    """Name and version of the engine, for the run card."""

    def __init__(self, start: EngineStart): ...  # noqa: B027 - for subclasses

    @staticmethod  # noqa: B027 - a default
    def check(options: Mapping[str, Any]) -> None:
        """Check that the engine is installed and has these options, before a model is loaded.

        Raises:
            InputError: It is not, or has not.
        """

    @staticmethod  # noqa: B027 - a default
    def check_student(config: Any, device: str) -> None:
        """Check that the engine can run a student on a device, by its configuration.

        Raises:
            InputError: It cannot.
        """

    @abstractmethod
    def update(self, weights: Path, version: int) -> None:
        """Take new weights, and forget all that depends on the old ones.

        Args:
            weights: A safetensors file with the tensors of the student's checkpoint.
            version: Number of optimiser steps that made them.
        """

    @abstractmethod
    def sample(self, rows: Sequence[Row]) -> list[EngineSample]:
        """Sample a response to each row, in the order of the rows."""

    def rest(self) -> None:  # noqa: B027 - a default
        """Give memory back until the next call, if the engine can."""

    @abstractmethod
    def close(self) -> None:
        """End the engine's processes and free its memory."""
