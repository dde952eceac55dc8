"""What a piece of torch code launches and writes, counted below autograd."""

from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class KernelCounts(TorchDispatchMode):
    """Counts operations that write memory; views cost nothing and are not counted.

    Use it under `torch.no_grad()`: in inference mode, operations are not taken apart.

    Attributes:
        names: Name of each operation that wrote something.
        shapes: Shape of each tensor that was made, not of those that were written in place.
        bytes: Bytes that were written.
    """

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []
        self.shapes: list[tuple[int, ...]] = []
        self.bytes = 0

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Run an operation and count what it writes."""
        result = function(*args, **(kwargs or {}))
        if function.is_view or function.namespace not in {"aten", "mkldnn"}:
            return result
        given = {
            leaf.untyped_storage().data_ptr()
            for leaf in tree_leaves((args, kwargs))
            if isinstance(leaf, torch.Tensor) and not leaf.is_mkldnn
        }
        in_place = function._schema.is_mutable
        written = [
            leaf
            for leaf in tree_leaves(result)
            if isinstance(leaf, torch.Tensor)
            and (in_place or leaf.is_mkldnn or leaf.untyped_storage().data_ptr() not in given)
        ]
        if written:
            self.names.append(str(function))
            # An operation in place writes what it is given, not the whole tensor.
            self.shapes += [] if in_place else [tuple(leaf.shape) for leaf in written]
            self.bytes += 0 if in_place else sum(leaf.nbytes for leaf in written)
        return result
