"""Prompts become samples.

A backend takes rows (a document's prompt and one seed each) and yields finished samples. It must
give the text of a row whatever its company: batch size, order, process, a resume in between.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal
from typing import Protocol as Interface

from kdbench.registry import Registry

if TYPE_CHECKING:
    from kdbench.checkpoint import Checkpoint
    from kdbench.protocol import Protocol


@dataclass(frozen=True)
class Row:
    """One response to make.

    Attributes:
        document: id of the document.
        seed: of the sampling.
        prompt_ids: the encoded prompt, after the protocol's cut.
    """

    document: str
    seed: int
    prompt_ids: tuple[int, ...]


@dataclass(frozen=True)
class Sample:
    """One response.

    Attributes:
        document: id of the document.
        seed: of the sampling.
        output: decoded without special tokens, cut at a stop string, not post-processed.
        n_tokens: generated tokens, the end-of-sequence token not counted; None if not known.
        finish: `stop` (end of sequence or stop string) or `length`; None if not known.
        tokens: the generated ids, with the end token where it was chosen; empty if not known.
    """

    document: str
    seed: int
    output: str
    n_tokens: int | None = None
    finish: Literal["stop", "length"] | None = None
    tokens: tuple[int, ...] = field(default=(), repr=False, compare=False)


@dataclass(frozen=True)
class Prompt:
    """An encoded prompt.

    Attributes:
        ids: token ids, after the cut.
        cut: whether the protocol's limit cut it.
    """

    ids: tuple[int, ...]
    cut: bool


@dataclass(frozen=True)
class Options:
    """How a backend runs; none of it is part of a protocol.

    Attributes:
        dtype: `auto`, `float32`, `bfloat16` or `float16`.
        device: `auto`, `cpu`, `cuda`, …
        batch_size: sequences that decode at once; None is to be found.
        trust_remote_code: run Python code that comes with the checkpoint.
        argument: what stands after the colon of `backend=NAME:ARGUMENT`.
        engine: settings of the backend's own, from `backend_options=`.
    """

    dtype: str = "auto"
    device: str = "auto"
    batch_size: int | None = None
    trust_remote_code: bool = False
    argument: str = ""
    engine: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Facts:
    """What `run.json` says of what generated.

    Attributes:
        parameters: of the model; None if not known.
        dtype: of its weights, such as `bfloat16`; None if not known.
        engine: name and version of the program, where it is another one than transformers.
    """

    parameters: int | None = None
    dtype: str | None = None
    engine: str | None = None


class Backend(Interface):
    """What a backend offers; `kdbench.generate.hf` is the reference.

    `kdbench.generate.choice` lists what a backend can say of itself beyond this.

    Attributes:
        batch_size: in use, for a resume to keep; None until it is found.
        tokenizer: of the checkpoint.
    """

    batch_size: int | None
    tokenizer: Any

    def __init__(self, checkpoint: "Checkpoint", protocol: "Protocol", options: Options): ...

    @property
    def model(self) -> Any:
        """The torch model, or None where it cannot be reached; an attribute will do."""

    def encode(self, prompt: str, message: str) -> Prompt:
        """Token ids of a document's prompt (or of its message, for the `chat` protocol)."""

    def batches(self, rows: Sequence[Row]) -> Iterator[list[Row]]:
        """The rows in the order and company in which they are generated."""

    def generate(self, rows: Sequence[Row], until: Sequence[str]) -> Iterator[Sample]:
        """Yield the sample of each row of one batch as it finishes."""


backends: Registry[type[Backend]] = Registry("backend", "kdbench.generate", "kdbench.backends")
