"""Generation with transformers: a checkpoint is loaded and generates with `Generator`."""

import inspect

from kdbench.checkpoint import Checkpoint, load_checkpoint, pick_device
from kdbench.errors import InputError
from kdbench.generate import Backend, Options, backends
from kdbench.generate.decoding.generator import Generator
from kdbench.generate.prompts import check_template
from kdbench.protocol import Protocol


@backends.register("hf")
class HFBackend(Generator, Backend):
    """transformers: a checkpoint on one device, under one protocol.

    Raises:
        InputError: The checkpoint cannot be loaded, has no end-of-sequence token or key-value
            cache, or has no chat template for `prompt=chat`.
    """

    def __init__(self, checkpoint: Checkpoint, protocol: Protocol, options: Options):
        device = pick_device(options.device)
        model, tokenizer = load_checkpoint(
            checkpoint, options.dtype, device, options.trust_remote_code
        )
        if "past_key_values" not in inspect.signature(model.forward).parameters:
            raise InputError(
                f"{checkpoint.path}: {type(model).__name__} has no key-value cache, which "
                "backend=hf needs"
            )
        check_template(tokenizer, protocol, checkpoint.path)
        super().__init__(model, tokenizer, protocol, options.batch_size)
