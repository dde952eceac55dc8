"""What backends share that generate in an engine of their own, apart from a transformers model."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any

from kdbench.checkpoint import Checkpoint, load_checkpoint, load_tokenizer, pick_device
from kdbench.errors import InputError
from kdbench.generate import Options, Prompt
from kdbench.generate.prompts import check_fits, encode_prompt
from kdbench.generate.unloaded import Folder
from kdbench.protocol import Protocol


@contextmanager
def engine_in_one_line(backend: str, what: str) -> Iterator[None]:
    """Whatever an engine raises, as one line; its processes may say more on stderr.

    Args:
        backend: as the user names it.
        what: went wrong.
    """
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise InputError(f"backend={backend}: {what}: {reason}") from error


class ApartFromModel:
    """A checkpoint that an engine generates with, and transformers measures.

    Raises:
        InputError: a GGUF file, or no chat template though the protocol needs one.
    """

    own_engine = True

    def __init__(self, checkpoint: Checkpoint, protocol: Protocol, options: Options):
        if checkpoint.gguf:
            raise InputError(f"{checkpoint.path}: a GGUF file; use backend=hf")
        self.checkpoint, self.protocol, self.options = checkpoint, protocol, options
        self.batch_size = options.batch_size
        self.folder = Folder(checkpoint, options.trust_remote_code)
        self.tokenizer: Any = load_tokenizer(checkpoint, options.trust_remote_code)
        if protocol.prompt == "chat" and not self.tokenizer.chat_template:
            raise InputError(f"{checkpoint.path}: no chat template; use protocol=minillm or greedy")

    def encode(self, prompt: str, message: str) -> Prompt:
        """Token ids of a document's prompt, cut on the right at `max_prompt_tokens`.

        Raises:
            InputError: no token, or more with the response than there is room for.
        """
        encoded = encode_prompt(self.tokenizer, self.protocol, prompt, message)
        config = self.folder.config
        positions = getattr(config, "max_position_embeddings", None)
        limits = [positions, self.options.engine.get("max_model_len")]
        room = min((int(one) for one in limits if one), default=None)
        check_fits(encoded, self.protocol, config.vocab_size, room)
        return encoded

    @cached_property
    def model(self) -> Any:
        """The checkpoint in transformers, for what needs a forward pass; the engine stops first."""
        return self.load_model()

    def load_model(self) -> Any:
        """Stop the engine and load the checkpoint."""
        self.stop()
        options = self.options
        device = pick_device(options.device)
        trusted = options.trust_remote_code
        return load_checkpoint(self.checkpoint, options.dtype, device, trusted)[0]

    def stop(self) -> None:
        """Free the engine's memory; it starts again when it is needed."""
        raise NotImplementedError

    def forget_model(self) -> None:
        """Free the model's memory, before the engine starts."""
        vars(self).pop("model", None)
