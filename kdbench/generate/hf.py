"""Generation with transformers: a checkpoint is loaded and generates with `Generator`."""

from kdbench.checkpoint import Checkpoint, load_checkpoint, pick_device
from kdbench.generate import Backend, Options, backends
from kdbench.generate.decoding.generator import Generator
from kdbench.generate.prompts import check_template
from kdbench.protocol import Protocol


@backends.register("hf")
class HFBackend(Generator, Backend):
    """transformers: a checkpoint on one device, under one protocol.

    Raises:
        InputError: The checkpoint cannot be loaded, has no end-of-sequence token, has no chat
            template for `prompt=chat`, or does not decode as its forward pass does.
    """

    encodes_plainly = True

    def __init__(self, checkpoint: Checkpoint, protocol: Protocol, options: Options):
        device = pick_device(options.device)
        model, tokenizer = load_checkpoint(
            checkpoint, options.dtype, device, options.trust_remote_code
        )
        check_template(tokenizer, protocol, checkpoint.path)
        # Models with experts fail to compute the routers' loss when they decode with a cache.
        if getattr(model.config.get_text_config(), "output_router_logits", False):
            model.config.get_text_config().output_router_logits = False
        super().__init__(model, tokenizer, protocol, options.batch_size)
        if options.ignore_eos:
            self._eos = frozenset()
