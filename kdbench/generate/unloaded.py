"""What can be read from a checkpoint's files without loading the weights."""

from functools import cached_property
from types import SimpleNamespace
from typing import Any

from kdbench.checkpoint import Checkpoint, one_line
from kdbench.generate.prompts import end_tokens


class UnloadedCheckpoint:
    """A checkpoint whose weights are not loaded.

    Args:
        checkpoint: Checkpoint in the format of transformers.
        trust_remote_code: Whether to run Python code that comes with it.
    """

    def __init__(self, checkpoint: Checkpoint, trust_remote_code: bool):
        of_model = checkpoint.base or checkpoint  # an adapter has no configuration of its own
        self._path, self._trusted = of_model.path, trust_remote_code
        self._place = of_model.place
        self._options = {"gguf_file": of_model.gguf} if of_model.gguf else {}

    @cached_property
    def config(self) -> Any:
        """Configuration of the language model."""
        from transformers import AutoConfig

        with one_line(self._place):
            config = AutoConfig.from_pretrained(
                self._path, trust_remote_code=self._trusted, **self._options
            )
        return config.get_text_config()

    @cached_property
    def parameters(self) -> int:
        """Number of parameters; tied parameters count once."""
        import torch
        from transformers import AutoModelForCausalLM

        with one_line(self._place), torch.device("meta"):
            model = AutoModelForCausalLM.from_config(self.config, trust_remote_code=self._trusted)
        return sum(parameter.numel() for parameter in model.parameters())

    def dtype(self, requested: str, device: str) -> str:
        """Return the precision in which backend=hf would load the checkpoint.

        Args:
            requested: Value of `dtype=`.
            device: Kind of device, such as `cpu`.
        """
        dtype = requested if requested != "auto" else self._stored_dtype
        return "float32" if device == "cpu" and dtype == "float16" else dtype

    def ends(self, tokenizer: Any) -> frozenset[int]:
        """Return the ids of the tokens that end a response."""
        from transformers import GenerationConfig

        try:
            generation = GenerationConfig.from_pretrained(self._path)
        except OSError:  # no generation_config.json
            generation = GenerationConfig.from_model_config(self.config)
        return end_tokens(SimpleNamespace(generation_config=generation), tokenizer)

    @property
    def _stored_dtype(self) -> str:
        if self.config.dtype is not None:
            return str(self.config.dtype).removeprefix("torch.")
        return self._dtype_of_weights

    @property
    def _dtype_of_weights(self) -> str:
        from safetensors import safe_open

        file = min(self._path.glob("*.safetensors"), default=None)
        if file is None:
            return "float32"
        with safe_open(file, "pt") as tensors:
            name = next(iter(tensors.keys()))
            return str(tensors.get_tensor(name).dtype).removeprefix("torch.")
