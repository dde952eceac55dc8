"""Linear layers on a CPU with weights in the blocked layout of oneDNN.

The product with a weight as transformers stores it takes twice as long: the library orders the
weight anew for each product, or reads it in an order that its kernels do not like. The blocked
copy takes as much memory as the weights. oneDNN also adds up a row in the same order in a batch of
any size but one, so a batch of one is run as two.
"""

import os
import platform
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

Forward = Callable[[torch.Tensor], torch.Tensor]

_SMALLEST = 1 << 16  # numbers of a weight; the call costs more than the product with a smaller one
_MEMORY_SHARE = 1 / 4  # of the machine's memory; not of the free memory, so a resume decides alike
_ROWS = 64  # that the layout is chosen for; products of 4 to 1,500 rows are as fast with it


def packed_forwards(model: Any) -> dict[nn.Module, Forward]:
    """Forward passes of a model's linear layers, with packed copies of their present weights.

    Args:
        model: A transformers model.

    Returns:
        One for each float32 layer on a CPU that is worth it; none if the copies would take more
        than a quarter of the machine's memory, or where oneDNN has no blocked layout.
    """
    layers = [module for module in model.modules() if _is_worth_it(module)]
    size = sum(layer.weight.nbytes for layer in layers)
    if not _can_pack() or size > _MEMORY_SHARE * _memory():
        return {}
    return {layer: _packed(layer) for layer in layers}


@contextmanager
def run_by(forwards: Mapping[nn.Module, Forward]) -> Iterator[None]:
    """Modules run by other forward passes, for a while."""
    if torch.is_autocast_enabled("cpu"):  # which would compute in another precision
        yield
        return
    # Into `__dict__`, as a module's own way of setting an attribute takes microseconds.
    for module, forward in forwards.items():
        vars(module)["forward"] = forward
    try:
        yield
    finally:
        for module in forwards:
            del vars(module)["forward"]


def _packed(layer: nn.Linear) -> Forward:
    multiply = torch.ops.mkldnn._linear_pointwise.default
    weight = torch.ops.mkldnn._reorder_linear_weight(layer.weight.detach(), _ROWS)
    bias = None if layer.bias is None else layer.bias.detach()
    width = layer.in_features

    def forward(states: torch.Tensor) -> torch.Tensor:
        if states.numel() != width:
            return multiply(states, weight, bias, "none", [], "")
        twice = states.reshape(1, width).expand(2, width).contiguous()
        alone = multiply(twice, weight, bias, "none", [], "")[:1]
        return alone.reshape(*states.shape[:-1], alone.shape[-1])

    return forward


def _is_worth_it(module: nn.Module) -> bool:
    """Whether a module is a plain linear layer of torch, with a plain weight of some size."""
    return (
        type(module) is nn.Linear
        and "forward" not in vars(module)  # as accelerate's hooks set it
        and type(module.weight) is nn.Parameter
        and module.weight.device.type == "cpu"
        and module.weight.dtype == torch.float32
        and module.weight.numel() >= _SMALLEST
    )


def _can_pack() -> bool:
    return (
        platform.machine() in {"x86_64", "AMD64"}
        and torch.backends.mkldnn.is_available()
        and torch.backends.mkldnn.enabled
        and hasattr(torch.ops.mkldnn, "_linear_pointwise")
        and hasattr(torch.ops.mkldnn, "_reorder_linear_weight")
    )


def _memory() -> int:
    """Bytes of memory of this machine; 8 GiB where it does not say."""
    if "SC_PHYS_PAGES" not in os.sysconf_names:
        return 8 * 2**30
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
