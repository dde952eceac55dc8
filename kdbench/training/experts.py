"""Which of several models is the best for each value of a field, by its loss on validation rows."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kdbench.errors import InputError
from kdbench.training.chunk import Plan
from kdbench.training.micro_batch import scalars_by_row
from kdbench.training.schedule import Schedule
from kdbench.views.rollout import Batch, Example, of_dataset

if TYPE_CHECKING:
    import torch

    from kdbench.training.context import Context


@dataclass
class BestByField(Schedule):
    """The model with the lowest loss for each value of a field. It schedules nothing.

    Attributes:
        name: The field, which training and validation rows have.
        models: The names of the views to choose from.
        best: The number of the best view, from 0, by the value of the field as text.
    """

    name: str
    models: tuple[str, ...]
    best: dict[str, int] = field(default_factory=dict, init=False)

    @property
    def fields(self) -> tuple[str, ...]:  # type: ignore[override]
        """The field."""
        return (self.name,)

    def check(self, train: Sequence[Example], valid: Sequence[Example]) -> None:
        """Check that each row has the field, with a value that some validation row has too.

        Raises:
            InputError: One has not.
        """
        known = {str(example.field(self.name)) for example in valid}
        for example in train:
            if str(example.field(self.name)) not in known:
                raise InputError(
                    f"row '{example.id}': no validation row has its {self.name}="
                    f"{example.field(self.name)}, so the best teacher for it is not known"
                )

    def begin(self, context: "Context") -> None:
        """Measure the models on the validation rows."""
        sums: dict[str, list[float]] = {}
        rows = [of_dataset(example) for example in context.valid]
        for start in range(0, len(rows), context.micro_batch_size):
            some = rows[start : start + context.micro_batch_size]
            batch = Batch(some, context.device)
            for number, view in enumerate(self.models):
                scored = scalars_by_row("log_prob", batch, context.views[view])
                for value, scores in zip(batch.field(self.name), scored, strict=True):
                    of_value = sums.setdefault(str(value), [0.0] * len(self.models))
                    of_value[number] -= sum(scores)
        self.best = {value: losses.index(min(losses)) for value, losses in sums.items()}

    def of_rows(self, plan: Plan) -> "torch.Tensor":
        """The number of the best view of each row at each of its tokens, int64 (rows, L)."""
        import torch

        numbers = [self.best[str(value)] for value in plan.batch.field(self.name)]
        return torch.tensor(numbers, device=plan.mask.device)[:, None].expand(plan.mask.shape)

    def __str__(self) -> str:
        return "constant"
