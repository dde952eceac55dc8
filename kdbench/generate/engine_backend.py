"""What backends with an engine of their own share."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any

from kdbench.checkpoint import (
    Checkpoint,
    load_checkpoint,
    load_tokenizer,
    pick_device,
    prove_checkpoint,
)
from kdbench.errors import InputError, reason_of
from kdbench.generate import Backend, Options, Prompt
from kdbench.generate.prompts import check_fits, check_template, encode_prompt
from kdbench.generate.unloaded import UnloadedCheckpoint
from kdbench.protocol import Protocol
from kdbench.views.chat import ChatMessage


@contextmanager
def engine_in_one_line(backend: str, problem: str) -> Iterator[None]:
    """Turn any exception of an engine into an InputError of one line.

    Args:
        backend: Name of the backend, as the user gives it.
        problem: What went wrong, in a few words.
    """
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"backend={backend}: {problem}: {reason_of(error)}") from error


class EngineBackend(Backend):
    """An engine generates with the checkpoint; transformers loads it for forward passes.

    The engine and the transformers model are never in memory together.

    Raises:
        InputError: The checkpoint is a GGUF file or an adapter, its tensors are not those of its
            configuration, or it has no chat template for `prompt=chat`.
    """

    own_engine = True
    encodes_plainly = True

    def __init__(self, checkpoint: Checkpoint, protocol: Protocol, options: Options):
        if checkpoint.gguf:
            raise InputError(f"{checkpoint.path}: a GGUF file; use backend=hf")
        if checkpoint.base is not None or checkpoint.unused_adapter:
            raise InputError(
                f"{checkpoint.path}: holds an adapter, which an engine may add or leave out; use "
                "backend=hf"
            )
        self.checkpoint, self.protocol, self.options = checkpoint, protocol, options
        self.batch_size = options.batch_size
        self.unloaded = UnloadedCheckpoint(checkpoint, options.trust_remote_code)
        self.tokenizer: Any = load_tokenizer(checkpoint, options.trust_remote_code)
        prove_checkpoint(checkpoint, options.trust_remote_code)
        check_template(self.tokenizer, protocol, checkpoint.path)

    def encode(self, prompt: str, message: ChatMessage) -> Prompt:
        """Encode a document and keep its first `max_prompt_tokens` tokens.

        Raises:
            InputError: The prompt has no tokens, or prompt and response are too long.
        """
        encoded = encode_prompt(self.tokenizer, self.protocol, prompt, message)
        config = self.unloaded.config
        positions = getattr(config, "max_position_embeddings", None)
        limits = [positions, self.options.engine.get("max_model_len")]
        room = min((int(limit) for limit in limits if limit), default=None)
        check_fits(encoded, self.protocol, config.vocab_size, room)
        return encoded

    @cached_property
    def model(self) -> Any:
        """The checkpoint in transformers; the engine stops before it is loaded."""
        return self.load_model()

    def load_model(self) -> Any:
        """Stop the engine and load the checkpoint in transformers."""
        self.stop()
        options = self.options
        device = pick_device(options.device)
        trusted = options.trust_remote_code
        return load_checkpoint(self.checkpoint, options.dtype, device, trusted)[0]

    def forget_model(self) -> None:
        """Free the transformers model's memory before the engine starts."""
        vars(self).pop("model", None)
