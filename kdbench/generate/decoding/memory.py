"""The batch size, computed from the free memory instead of by trial."""

import os
from collections.abc import Callable
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
    numbers = cached_numbers(config, lambda: model.get_input_embeddings().weight.shape[-1])
    cache = layers_of(config) * numbers * model.dtype.itemsize * length
    vocabulary = _largest(config, "vocab_size") or len(model.get_input_embeddings().weight)
    # Twice: rows that leave a batch copy the caches of those that stay.
    return int(2 * cache + _LOGIT_COPIES * 4 * vocabulary)


def layers_of(config: Any) -> int:
    """The number of layers of a model."""
    return _largest(config, "num_hidden_layers", "n_layer") or 1


def cached_numbers(config: Any, embedded: Callable[[], int]) -> int:
    """The numbers that a layer's cache of keys and values holds for each token.

    Args:
        config: Configuration of the language model.
        embedded: Returns the width of the embedding, for a configuration without a hidden size.
    """
    heads = _largest(config, "num_attention_heads", "n_head") or 1
    hidden = _largest(config, "hidden_size", "n_embd") or embedded()
    width = _largest(config, "head_dim", "global_head_dim") or -(-hidden // heads)
    return 2 * width * (_largest(config, "num_key_value_heads") or heads)


def _largest(config: Any, *names: str) -> int | None:
    """The largest size of these names over all layers; None where a configuration has none.

    Configurations whose layers differ refuse to name one size, or have a list of them.
    """
    sizes: list[int] = []
    for settings in (config, *_layers(config)):
        for name in names:
            try:
                value = getattr(settings, name, None)
            except Exception:  # noqa: BLE001, S112 - a library's own kinds of refusal
                continue
            sizes += [size for size in _flat(value) if isinstance(size, int)]
    return max(sizes, default=None)


def _layers(config: Any) -> list[Any]:
    """The settings of layers that differ from the others."""
    try:
        return list(getattr(config, "per_layer_config", None) or ())
    except Exception:  # noqa: BLE001 - a library's own kinds of refusal
        return []


def _flat(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


def _free_bytes(device: str) -> int:
    if device == "cuda":
        import torch

        return int(torch.cuda.mem_get_info()[0])
    if "SC_AVPHYS_PAGES" not in os.sysconf_names:  # as on macOS
        return _FREE_IF_UNKNOWN
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
