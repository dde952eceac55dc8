"""Distillation methods, one per file, whose docstring gives paper, formula and conventions.

A method consists of its keys and of the triple that they make.
"""

from typing import ClassVar

from kdbench.config import Settings
from kdbench.registry import Registry
from kdbench.training.triple import Triple


class Method(Settings):
    """A method. The fields of a subclass are keys of `kdbench train`.

    Attributes:
        title: The row's label in a table.
        paper: Who described the method, and where.
        cost: The cost of a step in addition to the student's forward and backward pass.
        needs_teacher: Whether `teacher=` must be given.
        plain_sampling: Whether the formula needs samples of the models' own distributions, so that
            `sampling_temperature=` and `sampling_top_p=` must stay 1.
        fields: Columns of the training rows that the formula reads, beside those that its source
            names. Every row must have them, and a change in them makes another run.
    """

    title: ClassVar[str]
    paper: ClassVar[str]
    cost: ClassVar[str]
    needs_teacher: ClassVar[bool] = True
    plain_sampling: ClassVar[bool] = False
    fields: ClassVar[tuple[str, ...]] = ()

    def triple(self) -> Triple:
        """Make what the method trains with; new for each run, as its parts have a memory."""
        raise NotImplementedError

    def describe(self) -> dict[str, str]:
        """Text descriptions, for lists."""
        return {"paper": self.paper, **self.triple().describe(), "cost": self.cost}


methods: Registry[type[Method]] = Registry("method", "kdbench.methods", "kdbench.methods")
