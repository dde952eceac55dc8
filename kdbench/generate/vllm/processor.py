"""The rows' choices as a logits processor; the engine's processes import this file by its name."""

from typing import Any

from vllm.v1.sample.logits_processor import LogitsProcessor

from kdbench.generate.vllm.rows import BatchUpdate, EngineRows, Told
from kdbench.system.processes import end_with


class RowNoise(LogitsProcessor):
    """Bans, temperature, top-k, top-p and noise of each row, before a greedy choice."""

    def __init__(self, vllm_config: Any, device: Any, is_pin_memory: bool):  # noqa: ARG002
        told: Told = vllm_config.additional_config
        self._rows = EngineRows(told.protocol, told.vocabulary)
        end_with(told.starter)

    def is_argmax_invariant(self) -> bool:
        """It decides the argmax."""
        return False

    def update_state(self, batch_update: BatchUpdate | None) -> None:
        """Follow the batch."""
        self._rows.update(batch_update)

    def apply(self, logits: Any) -> Any:
        """Choose."""
        return self._rows.choose(logits)
