"""A comparison as JSON: every number, by row."""

from dataclasses import asdict
from typing import Any

from kdbench.comparing.model import ComparedRow, Comparison
from kdbench.comparing.tolerance import format_tolerances
from kdbench.comparing.verdict import is_undecided
from kdbench.system.files import SCHEMA


def numbers(comparison: Comparison) -> dict[str, Any]:
    """The comparison as JSON-ready values; rows by `task:metric` or `task/category:metric`."""
    decision = comparison.decision
    return {
        "schema": SCHEMA,
        "base": comparison.base,
        "new": comparison.new,
        "decision": {
            "exit_code": decision.code,
            "word": decision.word,
            "sentence": decision.sentence,
            "not_decided": [
                {
                    "row": f"{row.name}:{row.metric}",
                    "allowed": row.tolerance,
                    "sees": row.least,
                    "prompts": row.n,
                    "needs": row.needed,
                }
                for row in comparison.rows
                if is_undecided(row)
            ],
        },
        "generalises_to": {
            "scope": str(comparison.scope),
            "base_training_seeds": list(comparison.scope.base_seeds),
            "new_training_seeds": list(comparison.scope.new_seeds),
        },
        "rows": {f"{row.name}:{row.metric}": _row(row) for row in comparison.rows},
        "problems": [asdict(problem) for problem in comparison.problems],
        "notes": list(comparison.notes),
        "rules": asdict(comparison.rules),
        "method": asdict(comparison.method),
        "tolerance": format_tolerances(comparison.tolerances),
    }


def _row(row: ComparedRow) -> dict[str, Any]:
    """The fields of a row, and the word difference of each prompt's responses."""
    worst = [asdict(prompt) for prompt in row.worst]
    for prompt, of_prompt in zip(row.worst, worst, strict=True):
        if prompt.evidence is not None:
            of_prompt["evidence"]["diff"] = [asdict(span) for span in prompt.evidence.diff]
    return {**asdict(row), "worst": worst}
