"""What a check is, and the registry that finds all checks."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from kdbench.doctor.finding import Finding
from kdbench.registry import Registry

if TYPE_CHECKING:
    from kdbench.doctor.patient import Patient

CheckStage = Literal["files", "tokens", "weights"]
STAGES: tuple[CheckStage, ...] = ("files", "tokens", "weights")
PlannedVerb = Literal["eval", "train"]
Look = Callable[["Patient"], Iterator[Finding]]


@dataclass(frozen=True)
class Check:
    """A check.

    Attributes:
        name: Name in the output, and in `skip=`.
        stage: What it needs: `files` as they lie on the disk, `tokens` (tokenizers and what they
            make of the data) or `weights` (loaded models). Checks run in this order.
        of: The verbs to which it applies.
        look: Yields what it finds. It may raise `InputError`, which is reported as an error, and
            `CannotRunError`.
    """

    name: str
    stage: CheckStage
    of: tuple[PlannedVerb, ...]
    look: Look


checks: Registry[Check] = Registry("check", "kdbench.doctor.checks", "kdbench.doctor")


def check(
    name: str, stage: CheckStage, of: tuple[PlannedVerb, ...] = ("eval", "train")
) -> Callable[[Look], Check]:
    """Make the decorated function a check and register it.

    An entry point of another package names the result, under the name of the check.

    Args:
        name: Name in the output, and in `skip=`.
        stage: What it needs.
        of: The verbs to which it applies.
    """

    def add(look: Look) -> Check:
        return checks.register(name)(Check(name, stage, of, look))

    return add
