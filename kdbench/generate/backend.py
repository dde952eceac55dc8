"""The contract between kdbench and whatever generates text."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from kdbench.checkpoint.size import loaded_parameters
from kdbench.errors import InputError
from kdbench.generate.prompts import end_tokens
from kdbench.generate.values import Facts, Options, Prompt, Row, Sample, ScoredText, TopScores
from kdbench.views.chat import ChatMessage

if TYPE_CHECKING:
    from kdbench.checkpoint import Checkpoint
    from kdbench.protocol import Protocol


class Backend(ABC):
    """Base class of backends.

    The sample of a row must not depend on batch size, batch composition, order, process or a
    resume. A backend is made with a checkpoint, a protocol and `Options`, and must override
    `encode`, `batches` and `generate`; everything else has a default. A class that has these
    members without inheriting from `Backend` is a backend too.

    Attributes:
        batch_size: Batch size in use, which a resume keeps; None until it is known.
        tokenizer: Tokenizer of the checkpoint; None if the backend has none.
        model: transformers model, for metrics that need a forward pass; None if there is none.
        own_engine: Whether the backend chooses the batch composition itself. If so, a resume
            generates only the missing rows, and all tasks are generated before any is measured.
        encodes_plainly: Whether prompts are encoded by `encode_prompt` with the checkpoint's
            tokenizer, so that they are known without loading the model.
        silent_options: Names of `backend_options=` that do not affect the text.
        secret_options: Names of `backend_options=` that must not be written to `run.json`.
    """

    own_engine: ClassVar[bool] = False
    encodes_plainly: ClassVar[bool] = False
    silent_options: ClassVar[Collection[str]] = ()
    secret_options: ClassVar[Collection[str]] = ()

    batch_size: int | None = None
    tokenizer: Any = None
    model: Any = None

    if TYPE_CHECKING:
        # Not defined at run time, so that `super().__init__()` in a plug-in reaches `object`.
        def __init__(self, checkpoint: Checkpoint, protocol: Protocol, options: Options): ...

    @staticmethod
    def check(argument: str, engine: Mapping[str, Any]) -> None:
        """Check what `backend=` and `backend_options=` give; the default takes neither.

        Args:
            argument: Text after the colon of `backend=NAME:ARGUMENT`; empty if there is none.
            engine: Options of the backend itself.

        Raises:
            InputError: The backend does not take the argument or one of the options.
        """
        if argument:
            raise InputError(f"backend=…:{argument}: this backend takes no argument after a colon")
        for name in engine:
            raise InputError(f"backend_options={name}=…: this backend takes no options")

    @staticmethod
    def is_served(argument: str) -> bool:  # noqa: ARG004 - for classes that override it
        """Return whether `model=` is a name known to a server, instead of a checkpoint."""
        return False

    @abstractmethod
    def encode(self, prompt: str, message: ChatMessage) -> Prompt:
        """Encode a document.

        Args:
            prompt: Text of the prompt.
            message: What the user says, without the task's template, or a tuple of chat turns;
                for `prompt=chat`.
        """

    @abstractmethod
    def batches(self, rows: Sequence[Row]) -> Iterator[list[Row]]:
        """Yield the rows in batches, in the order in which they are to be generated."""

    @abstractmethod
    def generate(self, rows: Sequence[Row], until: Sequence[str]) -> Iterator[Sample]:
        """Yield the sample of each row of a batch as it finishes.

        Args:
            rows: One batch of `batches`.
            until: Strings that end a response.
        """

    def top_scores(self, texts: Sequence[ScoredText], k: int) -> Iterator[tuple[int, TopScores]]:  # noqa: ARG002 - for classes that override it
        """Yield the index and the k likeliest tokens of each text, in any order.

        Args:
            texts: Prompts and the responses to score.
            k: Number of tokens at each position of a response.

        Raises:
            InputError: The backend reports no log-probabilities, as by default.
        """
        raise InputError("this backend reports no log-probabilities; use backend=vllm")

    def likelihoods(self, requests: Sequence[tuple[str, ...]]) -> list[tuple[float, bool | None]]:  # noqa: ARG002 - for classes that override it
        """Return the log-probability of given texts; asked only of a backend without `model`.

        Args:
            requests: Contexts and continuations; a single text is scored as a whole.

        Returns:
            Log-probabilities in nats, and whether each token of a continuation is the likeliest
            one; None for a single text.

        Raises:
            InputError: The backend reports none, as by default.
        """
        raise InputError("this backend reports no log-probabilities of texts; use backend=hf")

    def facts(self) -> Facts:
        """Describe the loaded model for `run.json`; the default reads `model`."""
        if self.model is None:
            return Facts()
        dtype = str(self.model.dtype).removeprefix("torch.")
        return Facts(loaded_parameters(self.model), dtype)

    @cached_property
    def ends(self) -> frozenset[int]:
        """Ids of the tokens that end a response; the default reads `model` and `tokenizer`."""
        return end_tokens(self.model, self.tokenizer)

    def stop(self) -> None:  # noqa: B027 - most backends hold no engine
        """Free the engine's memory; the engine starts again when it is needed."""
