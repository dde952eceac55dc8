"""The student's head in the loss: logits of a chunk, and the gradients of states and weights.

A plain linear head is multiplied here, so that its gradient is added in place, in float32 and in
blocks: no chunk makes a copy of the size of the weights. Any other head, such as one with an
adapter, goes through autograd.
"""

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any
from typing import Protocol as Interface

if TYPE_CHECKING:
    import torch

    from kdbench.views.view import LayeredView

# Elements of the head's gradient that are made at a time.
_BLOCK = 2**23


class TrainedHead(Interface):
    """The student's head, chunk by chunk.

    Attributes:
        parameters: The tensors that are trained.
        gradients: Their gradients so far, float32 or float64.
    """

    parameters: "list[torch.Tensor]"
    gradients: "list[torch.Tensor]"

    def raw(self, states: "torch.Tensor") -> "torch.Tensor":
        """The head's output (n, V), with a gradient to `leaves`."""

    @property
    def leaves(self) -> "list[torch.Tensor]":
        """The tensors with respect to which the chunk's loss is differentiated."""

    def take(self, gradients: "Sequence[torch.Tensor | None]") -> "torch.Tensor | None":
        """Add the gradients of the leaves; return that of the states."""


def trained_head(view: "LayeredView") -> TrainedHead:
    """The head of the student's view."""
    import torch

    head = getattr(view, "head", None)
    kind = torch.nn.Linear  # FSDP2 makes a subclass of it
    plain = isinstance(head, kind) and type(head).forward is kind.forward
    if plain and not torch.nn.utils.parametrize.is_parametrized(head):
        return _Linear(view, head)
    return _Any(view)


class _Linear:
    """A linear head, with or without bias, frozen or trained, tied or not."""

    def __init__(self, view: "LayeredView", head: Any):
        import torch

        self._vocabulary = view.vocabulary
        weight, bias = head.weight, head.bias
        given = [weight, *([] if bias is None else [bias])]
        self.parameters = [tensor for tensor in given if tensor.requires_grad]
        self.gradients = [zeros_for(tensor) for tensor in self.parameters]
        with view.autocast():
            kind = weight.device.type
            enabled = torch.is_autocast_enabled(kind)
            self._dtype = torch.get_autocast_dtype(kind) if enabled else weight.dtype
        rows = slice(self._vocabulary)  # the rest is padding
        self._weight = weight.detach()[rows].to(self._dtype)
        self._bias = None if bias is None else bias.detach()[rows].to(self._dtype)
        self._trains_weight = weight.requires_grad
        self._trains_bias = bias is not None and bias.requires_grad

    def raw(self, states: "torch.Tensor") -> "torch.Tensor":
        import torch

        self._states = states.detach().to(self._dtype)
        with torch.no_grad():
            raw = torch.nn.functional.linear(self._states, self._weight, self._bias)
        self._raw = raw.requires_grad_()
        return self._raw

    @property
    def leaves(self) -> "list[torch.Tensor]":
        return [self._raw]

    def take(self, gradients: "Sequence[torch.Tensor | None]") -> "torch.Tensor | None":
        (of_raw,) = gradients
        if of_raw is None:
            return None
        if self._trains_weight:
            self._add_weight(of_raw)
        if self._trains_bias:
            self.gradients[-1][: self._vocabulary] += of_raw.sum(0, dtype=self.gradients[-1].dtype)
        return of_raw @ self._weight

    def _add_weight(self, of_raw: "torch.Tensor") -> None:
        import torch

        total = self.gradients[0]
        rows = total[: self._vocabulary]
        if of_raw.dtype == total.dtype:
            rows.addmm_(of_raw.T, self._states)
            return
        if _adds_to_float32(of_raw.device.type, of_raw.dtype):
            torch.addmm(rows, of_raw.T, self._states, out_dtype=rows.dtype, out=rows)
            return
        size = max(1, _BLOCK // total.shape[1])
        for start in range(0, self._vocabulary, size):
            block = slice(start, min(start + size, self._vocabulary))
            total[block] += of_raw[:, block].T @ self._states


class _Any:
    """Any other head."""

    def __init__(self, view: "LayeredView"):
        self._view = view
        self.parameters = list(view.head_parameters)
        self.gradients = [zeros_for(tensor) for tensor in self.parameters]

    def raw(self, states: "torch.Tensor") -> "torch.Tensor":
        self._states = states.detach().requires_grad_()
        self._output = self._view.raw(self._states)
        self._raw = self._output.detach().requires_grad_()  # a compiled loss is given leaves
        return self._raw

    @property
    def leaves(self) -> "list[torch.Tensor]":
        return [self._raw]

    def take(self, gradients: "Sequence[torch.Tensor | None]") -> "torch.Tensor | None":
        import torch

        (of_raw,) = gradients
        if of_raw is None or not self._output.requires_grad:
            return None
        inputs = [self._states, *self.parameters]
        of_states, *others = torch.autograd.grad(self._output, inputs, of_raw, allow_unused=True)
        for total, gradient in zip(self.gradients, others, strict=True):
            if gradient is not None:
                total.add_(gradient)
        return of_states


@cache
def _adds_to_float32(device: str, dtype: "torch.dtype") -> bool:
    """Whether a device adds a product of matrices of a dtype to float32, without rounding it."""
    import torch

    if device != "cuda":
        return False
    ones, total = torch.ones(16, 16, dtype=dtype, device=device), torch.ones(16, 16, device=device)
    try:
        torch.addmm(total, ones, ones, out_dtype=total.dtype, out=total)
    except (TypeError, RuntimeError):  # versions of torch without it
        return False
    return bool((total == 17).all())


def zeros_for(tensor: "torch.Tensor") -> "torch.Tensor":
    """Where the gradient of a parameter is added up: float32, or float64 for a float64 one."""
    import torch

    exact = torch.float64 if tensor.dtype == torch.float64 else torch.float32
    return torch.zeros(tensor.shape, dtype=exact, device=tensor.device)


def gradients_of(
    values: "Sequence[torch.Tensor]", factors: Sequence[float], leaves: "Sequence[torch.Tensor]"
) -> "list[torch.Tensor | None]":
    """The gradients of a weighted sum of scalars; None where there is none."""
    import torch

    with_graph = [(v, f) for v, f in zip(values, factors, strict=True) if v.requires_grad]
    if not with_graph or not leaves:
        return [None] * len(leaves)
    outputs = [value for value, _ in with_graph]
    weights = [torch.full_like(value, factor) for value, factor in with_graph]
    return list(torch.autograd.grad(outputs, leaves, weights, allow_unused=True))
