"""Gradients of single responses on a small group of the student's parameters, and a trial step.

A source, schedule or companion weighs responses by how well their gradients agree with another one,
such as that of validation examples: the product of the two is, to first order, by how much a step
on the response lowers the other loss (influence of examples; bilevel weights). For weights w of a
virtual step θ' = θ - η Σ w_i g_i(θ), the derivative of L(θ') by w_i is -η g_L(θ')·g_i(θ), exactly;
`virtual_step` and `products` give both factors.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from kdbench.errors import InputError
from kdbench.training.loss import STUDENT, distillation_loss
from kdbench.training.micro_batch import token_values
from kdbench.training.objective import Objective, as_terms
from kdbench.training.sharding import refuse_sharded
from kdbench.views.rollout import Batch, Rollout
from kdbench.views.view import View

if TYPE_CHECKING:
    import torch

    from kdbench.training.chunk import Chunk
    from kdbench.training.objective import Term

_LAYER = re.compile(r"\.(\d+)\.")  # in the name of a parameter
_ROWS = 8  # in a forward pass
_SHIFT = 0.01  # of a central difference, as a share of the parameters' norm
_MOST_NUMBERS = 2**24  # a gradient of 64 MiB in float32


@dataclass(frozen=True)
class StudentGradients:
    """Makes groups of the student's parameters.

    Attributes:
        model: The student's model.
        student: The student's view, not wrapped for processes.
        views: The views by name, of which the student's is not used.
        parts: The method's own modules.
        device: Where the student is.
        chunk_tokens: Positions in a chunk of the loss; None chooses it.
    """

    model: Any
    student: View
    views: Mapping[str, View]
    parts: Mapping[str, Any]
    device: Any
    chunk_tokens: int | None = None

    def group(self, *patterns: str) -> "ParameterGroup":
        """The trained parameters whose names match one of some patterns, such as `*lora_B*`.

        Raises:
            InputError: There is none, they are too many, or processes share their weights.
        """
        named = {
            name: parameter
            for name, parameter in self.model.named_parameters()
            if parameter.requires_grad and any(fnmatchcase(name, one) for one in patterns)
        }
        text = ", ".join(patterns)
        if not named:
            first = next((n for n, p in self.model.named_parameters() if p.requires_grad), "none")
            raise InputError(
                f"gradients: no trained parameter is called {text or '(no pattern)'}; the first is "
                f"{first}"
            )
        return self._checked(named, text)

    def _checked(self, named: "Mapping[str, torch.nn.Parameter]", text: str) -> "ParameterGroup":
        # Not by the parameters: `begin`, which asks for a group, sees them gathered.
        refuse_sharded(self.model, "gradients of single responses need")
        size = sum(parameter.numel() for parameter in named.values())
        if size > _MOST_NUMBERS:
            raise InputError(
                f"gradients: {text} has {size} numbers, and a group may have {_MOST_NUMBERS}; "
                "choose fewer parameters, such as the last norm, a bias, or those of an adapter"
            )
        return ParameterGroup(self, named)

    def chosen(self, patterns: str) -> "ParameterGroup":
        """The group of a key: patterns with commas between them; if empty, the last layer.

        Raises:
            InputError: See `group`; or no parameter's name has the number of a layer.
        """
        if patterns:
            return self.group(*patterns.split(","))
        layers: dict[int, dict[str, torch.nn.Parameter]] = {}
        for name, parameter in self.model.named_parameters():
            if parameter.requires_grad and (found := _LAYER.search(name)):
                layers.setdefault(int(found[1]), {})[name] = parameter
        if not layers:
            raise InputError(
                "parameters= is missing: no trained parameter's name has the number of a layer"
            )
        return self._checked(layers[max(layers)], f"layer {max(layers)}")


@dataclass(frozen=True)
class ParameterGroup:
    """Some of the student's parameters; vectors have their numbers in order.

    The student is in evaluation mode while its gradients are taken, and what the step adds to
    `.grad` is not touched. Each process sees its own responses.

    Attributes:
        source: Where the group is from.
        parameters: The parameters by name.
    """

    source: StudentGradients
    parameters: "Mapping[str, torch.nn.Parameter]"

    @property
    def size(self) -> int:
        """The number of numbers."""
        return sum(parameter.numel() for parameter in self.parameters.values())

    def vectors(
        self,
        loss: "Objective | Sequence[Term]",
        rollouts: Sequence[Rollout],
        schedule: Mapping[str, float] | None = None,
    ) -> "torch.Tensor":
        """The gradient of the loss of each response alone, (rows, size).

        Args:
            loss: An objective, or a weighted sum; averaged over the response's own tokens.
            rollouts: The responses.
            schedule: The schedule's values.
        """
        import torch

        own = next(iter(self.parameters.values()))
        empty = torch.empty(0, self.size, device=self.source.device, dtype=own.dtype)
        rows = [self._gradient(loss, [row], schedule)[None] for row in rollouts]
        return torch.cat([empty, *rows])

    def mean(
        self,
        loss: "Objective | Sequence[Term]",
        rollouts: Sequence[Rollout],
        schedule: Mapping[str, float] | None = None,
    ) -> "torch.Tensor":
        """The mean over responses of what `vectors` returns, (size,), one response at a time."""
        total = self._gradient(loss, rollouts[:1], schedule)
        for row in rollouts[1:]:
            total = total + self._gradient(loss, [row], schedule)
        return total / len(rollouts)

    def products(
        self,
        loss: "Objective | Sequence[Term]",
        rollouts: Sequence[Rollout],
        vector: "torch.Tensor",
        schedule: Mapping[str, float] | None = None,
    ) -> "torch.Tensor":
        """The product of each response's gradient with a vector, (rows,), in float64.

        Args:
            loss: An objective, or a weighted sum; averaged over the response's own tokens.
            rollouts: The responses.
            vector: Such as the mean gradient of other responses, (size,).
            schedule: The schedule's values.
        """
        import torch

        vector = vector.double()
        found = [self._gradient(loss, [row], schedule).double() @ vector for row in rollouts]
        return torch.stack(found) if found else vector.new_zeros(0)

    def token_values(
        self,
        function: "Callable[[Chunk], torch.Tensor]",
        rollouts: Sequence[Rollout],
        reads: Sequence[str] = ("teacher",),
    ) -> "torch.Tensor":
        """A function of chunks at each response token, as the student is now, (N,).

        Args:
            function: Such as `token` of an objective.
            rollouts: The responses.
            reads: The views that it reads beside the student.
        """
        import torch

        source, found = self.source, [torch.empty(0, device=self.source.device)]
        views = {**source.views, STUDENT: source.student}
        with self._evaluating():
            for start in range(0, len(rollouts), _ROWS):
                batch = Batch(list(rollouts[start : start + _ROWS]), source.device)
                found.append(
                    token_values(function, batch, views, reads, source.parts, source.chunk_tokens)
                )
        return torch.cat(found[1:] or found)

    def token_products(
        self,
        function: "Callable[[Chunk], torch.Tensor]",
        rollouts: Sequence[Rollout],
        vector: "torch.Tensor",
        reads: Sequence[str] = ("teacher",),
    ) -> "torch.Tensor":
        """The product of each token's gradient with a vector, (N,), by a central difference.

        Two forward passes serve all tokens, where a gradient of each would need as many backward
        passes. The parameters are moved by a hundredth of their norm either way.

        Args:
            function: See `token_values`.
            rollouts: The responses.
            vector: Such as the mean gradient of other responses, (size,).
            reads: See `token_values`.
        """
        import torch

        norm = torch.stack([p.detach().norm() for p in self.parameters.values()]).norm()
        length = float(_SHIFT * norm.clamp(min=1) / vector.norm().clamp(min=1e-30))
        if not vector.any():
            return torch.zeros_like(self.token_values(function, rollouts, reads))
        with self.virtual_step(vector, -length):
            above = self.token_values(function, rollouts, reads)
        with self.virtual_step(vector, length):
            below = self.token_values(function, rollouts, reads)
        return (above - below) / (2 * length)

    def loss(
        self,
        loss: "Objective | Sequence[Term]",
        rollouts: Sequence[Rollout],
        schedule: Mapping[str, float] | None = None,
    ) -> float:
        """The loss of some responses together, as the student is now."""
        import torch

        with torch.no_grad(), self._evaluating():
            return float(self._loss(loss, rollouts, schedule))

    @contextmanager
    def virtual_step(self, gradient: "torch.Tensor", learning_rate: float) -> Iterator[None]:
        """Take one step of plain gradient descent, and take it back to the last bit at the end.

        Args:
            gradient: The gradient of the step, (size,).
            learning_rate: The factor of the gradient.

        Raises:
            InputError: The gradient has another size, or is not finite.
        """
        import torch

        if gradient.shape != (self.size,) or not bool(gradient.isfinite().all()):
            raise InputError(
                f"virtual_step: a gradient of shape {tuple(gradient.shape)}: must be finite, of "
                f"shape ({self.size},)"
            )
        before = [parameter.detach().clone() for parameter in self.parameters.values()]
        sizes = [parameter.numel() for parameter in self.parameters.values()]
        try:
            with torch.no_grad():
                for parameter, piece in zip(
                    self.parameters.values(), gradient.split(sizes), strict=True
                ):
                    step = piece.view_as(parameter).to(parameter.dtype)
                    parameter.sub_(step, alpha=learning_rate)
            yield
        finally:
            with torch.no_grad():
                for parameter, kept in zip(self.parameters.values(), before, strict=True):
                    parameter.copy_(kept)

    def _gradient(
        self,
        loss: "Objective | Sequence[Term]",
        rollouts: Sequence[Rollout],
        schedule: Mapping[str, float] | None,
    ) -> "torch.Tensor":
        import torch

        parameters = list(self.parameters.values())
        with torch.enable_grad(), self._evaluating():
            value = self._loss(loss, rollouts, schedule)
            found = torch.autograd.grad(value, parameters, allow_unused=True)
        pieces = [
            torch.zeros_like(parameter).flatten() if piece is None else piece.detach().flatten()
            for parameter, piece in zip(parameters, found, strict=True)
        ]
        return torch.cat(pieces)

    def _loss(
        self,
        loss: "Objective | Sequence[Term]",
        rollouts: Sequence[Rollout],
        schedule: Mapping[str, float] | None,
    ) -> "torch.Tensor":
        if not rollouts:
            raise InputError("gradients: there is no response")
        source = self.source
        batch = Batch(list(rollouts), source.device)
        return distillation_loss(
            as_terms(loss),
            batch,
            {**source.views, STUDENT: source.student},
            schedule=schedule,
            chunk=source.chunk_tokens,
            parts=source.parts,
        ).value

    @contextmanager
    def _evaluating(self) -> Iterator[None]:
        """Without dropout; the mode is put back."""
        model = self.source.model
        training = model.training
        model.eval()
        try:
            yield
        finally:
            model.train(training)
