"""How many sequences decode at once: from the memory that is free, not from a trial."""

import os
from typing import Any

# Decoding grows no faster beyond these: a CPU is bound by arithmetic, a GPU by its caches.
_MOST = {"cpu": 64, "cuda": 512}
_SHARE = 0.5  # of free memory; activations, fragmentation and other processes take the rest
_FREE_IF_UNKNOWN = 4 * 2**30
_LOGIT_COPIES = 6  # float32 tensors of (rows, V) that live at once while a token is chosen


def rows_that_fit(model: Any, length: int) -> int:
    """Rows of `length` tokens that fit, a power of two.

    Args:
        model: a transformers model, already on its device.
        length: tokens of prompt and response.
    """
    device = model.device.type
    rows = int(_SHARE * _free_bytes(device) / _bytes_per_row(model, length))
    rows = max(1, min(rows, _MOST.get(device, 128)))
    return 1 << (rows.bit_length() - 1)


def _bytes_per_row(model: Any, length: int) -> int:
    config = model.config.get_text_config()
    heads = config.num_attention_heads
    width = getattr(config, "head_dim", None) or config.hidden_size // heads
    cached_heads = getattr(config, "num_key_value_heads", None) or heads
    cache = 2 * config.num_hidden_layers * cached_heads * width * model.dtype.itemsize * length
    # Twice: rows that leave a batch copy the caches of those that stay.
    return int(2 * cache + _LOGIT_COPIES * 4 * config.vocab_size)


def _free_bytes(device: str) -> int:
    if device == "cuda":
        import torch

        return int(torch.cuda.mem_get_info()[0])
    if "SC_AVPHYS_PAGES" not in os.sysconf_names:  # macOS does not say
        return _FREE_IF_UNKNOWN
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
