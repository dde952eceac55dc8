"""Groups in which a right response is shown as context with the wrong ones.

The context is in the field `solution` of the example of a rollout; the prompt of the view that sees
it is `kdbench.training.rescue.RescuePrompt`.
"""

from dataclasses import dataclass, replace

from kdbench.errors import InputError
from kdbench.training.source import Draw
from kdbench.training.sources.groups import FromGroups
from kdbench.views.rollout import Rollout

RESCUED = "rescued"
SOLUTION = "solution"


@dataclass
class FromRescues(FromGroups):
    """Groups of student samples; the failed ones of a group with a success have that as context.

    A failed response (reward 0 or less) has the origin `rescued` if another one of its group has a
    reward above 0, and its example then has the text of the first such one in the field `solution`.
    The log has `groups/rescued`, the share of the responses.

    Attributes:
        rescued_only: Whether all other responses are left out; a step may then be empty.
    """

    rescued_only: bool = False

    @property
    def origins(self) -> tuple[str, ...]:  # type: ignore[override]
        """Who answers, and the failed responses that have a context."""
        return (RESCUED,) if self.rescued_only else (RESCUED, self.view)

    def rollouts(self, draw: Draw) -> list[Rollout]:
        """The groups of the step, the failed ones with a context where there is one."""
        rows = super().rollouts(draw)
        solved: dict[str | None, str] = {}
        for row in rows:
            if _is_right(row) and row.group not in solved:
                solved[row.group] = draw.text(row)
        rescued = [not _is_right(row) and bool(solved.get(row.group)) for row in rows]
        if rows:
            draw.note("groups/rescued", sum(rescued) / len(rows))
        return [
            _with_context(row, solved[row.group]) if one else row
            for row, one in zip(rows, rescued, strict=True)
            if one or not self.rescued_only
        ]


def _is_right(row: Rollout) -> bool:
    return bool(row.response_ids) and row.recorded["reward"][0] > 0


def _with_context(row: Rollout, text: str) -> Rollout:
    if row.example is None or SOLUTION in row.example.fields:
        raise InputError(f"row '{row.id}': rename its column '{SOLUTION}', which the method sets")
    example = replace(row.example, fields={**row.example.fields, SOLUTION: text})
    return replace(row, origin=RESCUED, example=example)
