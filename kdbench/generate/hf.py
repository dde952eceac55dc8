"""Generation with transformers: a checkpoint is loaded and generates with `Generator`."""

from dataclasses import replace

from kdbench.checkpoint import Checkpoint, load_checkpoint, loaded_bytes, pick_device
from kdbench.generate import Backend, Facts, Options, backends
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
            checkpoint,
            options.dtype,
            device,
            options.trust_remote_code,
            options.quantisation,
        )
        self._quantised_here = options.quantisation is not None
        check_template(tokenizer, protocol, checkpoint.path)
        # Models with experts fail to compute the routers' loss when they decode with a cache.
        if getattr(model.config.get_text_config(), "output_router_logits", False):
            model.config.get_text_config().output_router_logits = False
        super().__init__(model, tokenizer, protocol, options.batch_size)
        if options.ignore_eos:
            self._eos = frozenset()

    def facts(self) -> Facts:
        """Describe the loaded model for `run.json`."""
        facts = super().facts()
        if not self._quantised_here:
            return facts
        return replace(facts, weight_bytes=loaded_bytes(self.model))
