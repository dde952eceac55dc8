"""What backends take and return."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np

ScoredText = tuple[tuple[int, ...], tuple[int, ...]]
"""Token ids of a prompt, and of the response whose tokens are scored."""


@dataclass(frozen=True)
class Row:
    """One response to generate.

    Attributes:
        document: Id of the document.
        seed: Seed of the sampling noise.
        prompt_ids: Token ids of the prompt, after the protocol's prompt limit.
    """

    document: str
    seed: int
    prompt_ids: tuple[int, ...]


@dataclass(frozen=True)
class Sample:
    """One generated response.

    Attributes:
        document: Id of the document.
        seed: Seed of the sampling noise.
        output: Text without special tokens, cut at a stop string, before post-processing. It holds
            the thinking, with the marks around it, even if these are special tokens.
        n_tokens: Number of generated tokens without the end token; None if unknown.
        finish: `stop` for an end token or a stop string, `length` for the limit; None if unknown.
        tokens: Generated token ids, with the end token if it was chosen; empty if unknown.
        answer_start: Index in `output` at which the answer begins, after the thinking; the length
            of `output` if the thinking never ended; None if the whole output is the answer.
        n_thinking_tokens: Number of generated tokens before the mark that ends the thinking; 0 if
            the model has such a mark and did not think; None if it has none, or if unknown.
        unclosed: Whether the thinking began and never ended.
    """

    document: str
    seed: int
    output: str
    n_tokens: int | None = None
    finish: Literal["stop", "length"] | None = None
    tokens: tuple[int, ...] = field(default=(), repr=False, compare=False)
    answer_start: int | None = None
    n_thinking_tokens: int | None = None
    unclosed: bool = False

    @property
    def knows_thinking(self) -> bool:
        """Whether it is known what of the output is thinking."""
        return self.n_thinking_tokens is not None or self.answer_start is not None or self.unclosed

    @property
    def answer(self) -> str:
        """The output without the thinking: what metrics score."""
        return self.output[self.answer_start or 0 :]


@dataclass(frozen=True)
class Prompt:
    """An encoded prompt.

    Attributes:
        ids: Token ids, after the protocol's prompt limit.
        cut: Whether the limit removed tokens.
    """

    ids: tuple[int, ...]
    cut: bool


@dataclass(frozen=True)
class Options:
    """How a backend runs. None of this is part of a protocol.

    Attributes:
        dtype: Precision of the weights: `auto`, `float32`, `bfloat16` or `float16`.
        device: Device of the model: `auto`, `cpu`, `cuda`, …
        batch_size: Number of sequences that decode together; None lets the backend choose.
        trust_remote_code: Whether to run Python code that comes with the checkpoint.
        argument: Text after the colon of `backend=NAME:ARGUMENT`.
        engine: Options of the backend itself, from `backend_options=`.
        ignore_eos: Whether responses go on after an end token, up to the limit, as for timing. A
            server's model ends its responses itself.
        quantisation: How the weights are quantised while they are loaded: `8bit`, `4bit` or None.
    """

    dtype: str = "auto"
    device: str = "auto"
    batch_size: int | None = None
    trust_remote_code: bool = False
    argument: str = ""
    engine: Mapping[str, Any] = field(default_factory=dict)
    ignore_eos: bool = False
    quantisation: Literal["8bit", "4bit"] | None = None


@dataclass(frozen=True)
class Facts:
    """What `run.json` records about the loaded model.

    Attributes:
        parameters: Number of parameters; None if unknown.
        dtype: Precision of the weights, such as `bfloat16`; None if unknown.
        engine: Name and version of the engine; None for transformers.
        weight_bytes: Bytes of the weights in memory, if they were quantised while they were loaded;
            None if they have the size of their files.
    """

    parameters: int | None = None
    dtype: str | None = None
    engine: str | None = None
    weight_bytes: int | None = None


@dataclass(frozen=True)
class TopScores:
    """Log-probabilities at the n positions of a response, normalised over the model's whole head.

    Attributes:
        log_p: Log-probabilities of the k likeliest tokens, likeliest first, float32 of (n, k).
        ids: Ids of these tokens, int32 of (n, k).
        target: Log-probabilities of the response's own tokens, float32 of (n,).
    """

    log_p: "np.ndarray"
    ids: "np.ndarray"
    target: "np.ndarray"
