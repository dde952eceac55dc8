"""Distillation methods: one method, one file; its docstring gives paper, formula, conventions.

A method is its parameters, and the triple they make.
"""

from typing import ClassVar

from kdbench.config import Settings
from kdbench.registry import Registry
from kdbench.training.triple import Triple


class Method(Settings):
    """A method; a subclass's fields are keys of `kdbench train`.

    Attributes:
        title: the row's label in a table.
        paper: who described it, where.
        cost: what a step takes beside the student's own forward and backward pass.
        needs_teacher: whether `teacher=` must be given.
        plain_sampling: its formula needs samples of the models' own distributions, so
            `sampling_temperature=` and `sampling_top_p=` must stay 1.
    """

    title: ClassVar[str]
    paper: ClassVar[str]
    cost: ClassVar[str]
    needs_teacher: ClassVar[bool] = True
    plain_sampling: ClassVar[bool] = False

    def triple(self) -> Triple:
        """What it trains with; made anew for each run, for sources and schedules have a memory."""
        raise NotImplementedError

    def describe(self) -> dict[str, str]:
        """In words, for lists."""
        return {"paper": self.paper, **self.triple().describe(), "cost": self.cost}


methods: Registry[type[Method]] = Registry("method", "kdbench.methods", "kdbench.methods")
