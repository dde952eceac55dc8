"""The batch size, computed from the free memory instead of by trial."""

import os
from typing import Any

# Larger batches decode no faster: a CPU is bound by arithmetic, a GPU by its caches.
_MAX_ROWS = {"cpu": 64, "cuda": 512}
_SHARE = 0.5  # of the free memory; the rest is for activations, fragmentation and other processes
_FREE_IF_UNKNOWN = 4 * 2**30
_LOGIT_COPIES = 6  # float32 tensors of (rows, V) in memory while a token is chosen


def rows_that_fit(model: Any, length: int) -> int:
    """Return the number of rows that fit into the free memory, a power of two.

    Args:
        model: transformers model on its device.
        length: Number of tokens of a prompt and its response.
    """
    device = model.device.type
    rows = int(_SHARE * _free_bytes(device) / _bytes_per_row(model, length))
    rows = max(1, min(rows, _MAX_ROWS.get(device, 128)))
    return 1 << (rows.bit_length() - 1)


def _bytes_per_row(model: Any, length: int) -> int:
    config = model.config.get_text_config()
    heads = config.num_attention_heads
    width = getattr(config, "head_dim", None) or config.hidden_size // heads
    cached_heads = getattr(config, "num_key_value_heads", None) or heads
    cache = 2 * config.num_hidden_layers * cached_heads * width * model.dtype.itemsize * length
    # Twice: dropping finished rows copies the cache of the others.
    return int(2 * cache + _LOGIT_COPIES * 4 * config.vocab_size)


def _free_bytes(device: str) -> int:
    if device == "cuda":
        import torch

        return int(torch.cuda.mem_get_info()[0])
    if "SC_AVPHYS_PAGES" not in os.sysconf_names:  # as on macOS
        return _FREE_IF_UNKNOWN
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
