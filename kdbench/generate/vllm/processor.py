"""The choice of the next tokens as a logits processor; the engine's processes import this file."""

from typing import Any

from vllm.v1.sample.logits_processor import LogitsProcessor

from kdbench.generate.vllm.rows import BatchUpdate, EngineRows, ProcessorConfig
from kdbench.system.processes import end_with


class RowNoise(LogitsProcessor):
    """Applies each row's bans, temperature, top-k, top-p and noise before a greedy choice."""

    def __init__(self, vllm_config: Any, device: Any, is_pin_memory: bool):  # noqa: ARG002
        config: ProcessorConfig = vllm_config.additional_config
        self._rows = EngineRows(config.protocol, config.vocabulary)
        end_with(config.starter)

    def is_argmax_invariant(self) -> bool:
        """Return False: the processor decides the argmax."""
        return False

    def update_state(self, batch_update: BatchUpdate | None) -> None:
        """Follow the changes of the engine's batch."""
        self._rows.update(batch_update)

    def apply(self, logits: Any) -> Any:
        """Return the scores whose argmax is each row's next token."""
        return self._rows.choose(logits)
