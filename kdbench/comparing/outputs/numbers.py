"""A comparison as JSON: every number, by row."""

from dataclasses import asdict
from typing import Any

from kdbench.comparing.model import Comparison
from kdbench.comparing.tolerance import format_tolerances
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
        },
        "rows": {f"{row.name}:{row.metric}": asdict(row) for row in comparison.rows},
        "problems": [asdict(problem) for problem in comparison.problems],
        "notes": list(comparison.notes),
        "rules": asdict(comparison.rules),
        "method": asdict(comparison.method),
        "tolerance": format_tolerances(comparison.tolerances),
    }
