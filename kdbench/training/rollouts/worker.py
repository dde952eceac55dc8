"""What vLLM's workers can do in addition: take new weights; the engine's processes import this."""

from pathlib import Path
from typing import Any


class TakesWeights:
    """Mixed into vLLM's worker class, which has `reload_weights`."""

    reload_weights: Any

    def take_student(self, file: str) -> None:
        """Load the weights of a safetensors file in place.

        Each worker reads the tensors one by one and keeps its share of them.
        """
        from safetensors import safe_open

        with safe_open(Path(file), framework="pt") as tensors:
            names = list(tensors.keys())
            self.reload_weights(
                weights_iterator=((name, tensors.get_tensor(name)) for name in names)
            )
