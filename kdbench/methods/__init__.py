"""Distillation methods, one per file, whose docstring gives paper, formula and conventions.

A method consists of its keys and of the triple that they make.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from kdbench.config import Settings
from kdbench.errors import InputError, nearest
from kdbench.registry import Registry
from kdbench.training.stage import Stage, names_of
from kdbench.training.triple import Triple

if TYPE_CHECKING:
    import torch

    from kdbench.training.preparation import Preparation

# What the methods of a list are grouped by, in its order.
FAMILIES = {
    "baselines": "Baselines",
    "logits": "Losses on logits",
    "on_policy": "On student samples",
    "self": "Self-distillation",
    "rewards": "Pairs and rewards",
    "states": "Heads and hidden states",
    "data": "Data, weights and schedules",
    "federated": "Federated",
    "tokenizers": "Across tokenizers",
    "other": "Other",
}


@dataclass(frozen=True)
class Mechanism:
    """What the idea of a method should move, compared with another method at equal cost.

    The gallery (`kdbench fill toy-all`) measures it, so that an idea that moves nothing is seen.

    Attributes:
        measure: A column of `kdbench table`: `kendall@ref`, `dolly:exact_match`, or `log:NAME`, the
            mean of a value of the training log over the last quarter of the lines that have it.
        direction: Where the idea predicts that it moves.
        idea: What the measure stands for, a few words.
        chance: The value by chance, to which the measure is compared if no other method can have
            it, as one of the method's own weights.
    """

    measure: str
    direction: Literal["up", "down"]
    idea: str
    chance: float | None = None

    def __str__(self) -> str:
        return f"{self.measure} {self.direction}: {self.idea}"


class Method(Settings):
    """A method. The fields of a subclass are keys of `kdbench train`.

    Attributes:
        title: The row's label in a table.
        paper: Who described the method, and where.
        family: The group in lists, one of `FAMILIES`.
        basis: What the file was written from: `paper`, `authors' code`, `third-party notes`,
            `abstract`, and so on. It says how sure the formula is.
        adapted: What was changed, if the original is not for texts of language models; the title
            then ends with "(adapted)".
        data: What the training rows must have.
        mechanism: What the idea should move; None where nothing but the score can tell.
        cost: The cost of a step in addition to the student's forward and backward pass.
        needs_teacher: Whether `teacher=` must be given.
        required: Keys that must be given too; their default, such as None, is for lists alone.
        plain_sampling: Whether the formula needs samples of the models' own distributions, so that
            `sampling_temperature=` and `sampling_top_p=` must stay 1.
        fields: Columns of the training rows that the formula reads, beside those that its source
            names. Every row must have them, and a change in them makes another run.
        prepares_with: The views that `prepare` asks for.
        prepares_from_top_k: Whether `prepare` needs only the teacher's likeliest tokens on the
            validation set, as `Preparation.likeliest` gives them, so that a cache is enough.
    """

    title: ClassVar[str]
    paper: ClassVar[str]
    cost: ClassVar[str]
    family: ClassVar[str] = "other"
    basis: ClassVar[str] = ""
    adapted: ClassVar[str] = ""
    data: ClassVar[str] = "prompts and responses"
    mechanism: ClassVar[Mechanism | None] = None
    needs_teacher: ClassVar[bool] = True
    required: ClassVar[tuple[str, ...]] = ()
    plain_sampling: ClassVar[bool] = False
    fields: ClassVar[tuple[str, ...]] = ()
    prepares_with: ClassVar[tuple[str, ...]] = ()
    prepares_from_top_k: ClassVar[bool] = False

    def triple(self) -> Triple:
        """Make what the method trains with; new for each run, as its parts have a memory.

        A method of several stages defines `stages` instead; this is then the first one's.
        """
        if type(self).stages is Method.stages:
            raise NotImplementedError
        return self.stages()[0].triple

    def stages(self) -> Sequence[Stage]:
        """The trainings of which a run consists, one after the other; by default a single one."""
        return [Stage(self.triple())]

    def prepare(self, preparation: "Preparation") -> "Mapping[str, torch.Tensor]":  # noqa: ARG002
        """What is found out once before the first step, for `Context.statistics`, by name.

        The result is kept in a file, and other runs with equal models, rows and keys share it. In
        a run of several stages it is called before each.
        """
        return {}

    def describe(self) -> dict[str, str]:
        """Text descriptions, for lists."""
        stages = self.stages()
        if len(stages) == 1:
            parts = stages[0].triple.describe()
        else:
            parts = {
                name: f"{stage.describe(number)}; {_line(stage.triple.describe())}"
                for number, (name, stage) in enumerate(
                    zip(names_of(stages), stages, strict=True), start=1
                )
            }
        facts = {
            "based on": self.basis,
            "adapted": self.adapted,
            "data": self.data,
            "cost": self.cost,
            "mechanism": "" if self.mechanism is None else str(self.mechanism),
        }
        return {
            "paper": self.paper,
            **parts,
            **{name: text for name, text in facts.items() if text},
        }


def _line(parts: Mapping[str, str]) -> str:
    return "; ".join(f"{name} {text}" for name, text in parts.items())


def _check_family(method: type[Method]) -> None:
    if method.family not in FAMILIES:
        raise InputError(
            f"{method.__name__}: family '{method.family}': {nearest(method.family, FAMILIES)}"
        )


methods: Registry[type[Method]] = Registry(
    "method", "kdbench.methods", "kdbench.methods", _check_family
)
