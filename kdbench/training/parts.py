"""Modules of a method that train with the student: projectors, heads, gates, controllers."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kdbench.errors import InputError

if TYPE_CHECKING:
    import torch

_FILE = "parts.pt"


@dataclass(frozen=True)
class Sizes:
    """The sizes of the models, from which parts are built.

    Attributes:
        widths: The width of each view's states, by name.
        layers: The number of layers of each view, by name.
        vocabulary: Number of tokens V.
    """

    widths: Mapping[str, int]
    layers: Mapping[str, int]
    vocabulary: int


@dataclass(frozen=True)
class Part:
    """A module that trains with the student.

    It has an optimiser of its own with the student's settings, and its gradients are clipped apart
    from the student's. The finished checkpoint does not have it, unless `merge` puts it in.

    Attributes:
        build: Returns the module.
        rate: Its learning rate as a multiple of the student's.
        merge: Changes the finished student's model by the module; None drops it.
    """

    build: Callable[[Sizes], Any]
    rate: float = 1.0
    merge: Callable[[Any, Any], None] | None = None


class Parts:
    """The modules of a run, with their optimisers.

    Args:
        parts: What the method asks for, by name.
        sizes: The sizes of the models.
        device: Where the student is.
        optimizer_for: Returns an optimiser for a module.
        max_grad_norm: The norm to which the gradients of a part are clipped.
        seed: Seed of their first weights, which are equal on all processes.

    Attributes:
        modules: The modules by name.
    """

    def __init__(
        self,
        parts: Mapping[str, Part],
        sizes: Sizes,
        device: Any,
        optimizer_for: Callable[[Any], Any],
        max_grad_norm: float,
        seed: int = 0,
    ):
        self._parts, self._max_grad_norm = parts, max_grad_norm
        self.modules = {
            name: _built(name, part, sizes, seed).to(device) for name, part in parts.items()
        }
        self._optimizers = {
            name: optimizer_for(module)
            for name, module in self.modules.items()
            if any(p.requires_grad for p in module.parameters())
        }

    def zero_grad(self) -> None:
        """Forget the gradients of the step before."""
        for optimizer in self._optimizers.values():
            optimizer.zero_grad()

    def step(
        self, learning_rate: float, mean_over_processes: "Callable[[torch.Tensor], torch.Tensor]"
    ) -> None:
        """Update the modules by the gradients of a step.

        Args:
            learning_rate: The student's in this step.
            mean_over_processes: Returns the mean of a tensor over all processes.
        """
        import torch

        for name, optimizer in self._optimizers.items():
            parameters = [p for p in self.modules[name].parameters() if p.requires_grad]
            for parameter in parameters:
                # A process without a token of its terms has no gradient.
                own = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
                parameter.grad = mean_over_processes(own)
            torch.nn.utils.clip_grad_norm_(parameters, self._max_grad_norm)
            for group in optimizer.param_groups:
                group["lr"] = learning_rate * self._parts[name].rate
            optimizer.step()

    def save(self, folder: Path) -> None:
        """Save weights and optimisers into a folder; nothing if there are no parts."""
        import torch

        if self.modules:
            modules = {name: module.state_dict() for name, module in self.modules.items()}
            optimizers = {name: own.state_dict() for name, own in self._optimizers.items()}
            torch.save({"modules": modules, "optimizers": optimizers}, folder / _FILE)

    def restore(self, folder: Path) -> None:
        """Continue from what `save` wrote."""
        import torch

        if self.modules:
            state = torch.load(folder / _FILE, map_location="cpu", weights_only=True)
            for name, module in self.modules.items():
                module.load_state_dict(state["modules"][name])
            for name, optimizer in self._optimizers.items():
                optimizer.load_state_dict(state["optimizers"][name])

    def merge_into(self, model: Any) -> None:
        """Put the parts that belong to the finished student into its model."""
        import torch

        for name, part in self._parts.items():
            if part.merge is not None:
                with torch.no_grad():
                    part.merge(model, self.modules[name].to(model.device))


def _built(name: str, part: Part, sizes: Sizes, seed: int) -> Any:
    """Make a module; the random numbers of the run go on as if it did not exist.

    Raises:
        InputError: What was made is not a module.
    """
    import torch

    digest = hashlib.sha256(f"{seed} {name}".encode()).digest()
    with torch.random.fork_rng(devices=[]):
        torch.random.default_generator.manual_seed(int.from_bytes(digest[:6], "big"))
        module = part.build(sizes)
    if not isinstance(module, torch.nn.Module):
        raise InputError(
            f"parts: '{name}' is {type(module).__name__}: build must return a torch module"
        )
    return module
