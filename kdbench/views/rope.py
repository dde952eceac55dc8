"""Rotary positions that change with the length: a batch or a cache would mix both kinds."""

from typing import Any


def rope_limit(config: Any) -> int | None:
    """The length at which LongRoPE changes the positions of all tokens; None without LongRoPE."""
    config = config.get_text_config()
    rope = getattr(config, "rope_parameters", None)
    kinds = [rope, *rope.values()] if isinstance(rope, dict) else []
    limits = [
        kind.get("original_max_position_embeddings")
        or getattr(config, "original_max_position_embeddings", None)
        for kind in kinds
        if isinstance(kind, dict) and kind.get("rope_type") == "longrope"
    ]
    return min((limit for limit in limits if isinstance(limit, int)), default=None)
