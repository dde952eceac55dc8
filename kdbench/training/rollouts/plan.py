"""How an engine generates the student's responses in a run."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class RolloutPlan:
    """What a trainer is told about the engine; a run without one generates by itself.

    Attributes:
        backend: Name of the engine.
        dtype: Precision of the engine's weights, `float32` or `bfloat16`.
        options: Options of the engine itself.
        server: Address of the server that runs it; None runs it beside the training.
        lag: Number of steps by which responses are generated ahead.
        weight_clip: Largest importance weight of a token.
        trust_remote_code: Whether Python code that comes with the student may run.
    """

    backend: str
    dtype: str = "float32"
    options: Mapping[str, Any] = field(default_factory=dict)
    server: str | None = None
    lag: int = 0
    weight_clip: float = 2.0
    trust_remote_code: bool = False
