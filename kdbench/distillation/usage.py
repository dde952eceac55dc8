"""What a run asked of its teacher's server, also before it was interrupted."""

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from kdbench.scores.served.teacher import Usage
from kdbench.system.files import put_text
from kdbench.system.records import read_record

_FILE = "served.json"


class _Before(BaseModel):
    """What earlier processes of the run asked, on disk."""

    model_config = ConfigDict(extra="forbid")

    requests: int = Field(0, ge=0)
    tokens: int = Field(0, ge=0)
    sampled: int = Field(0, ge=0)
    retries: dict[str, int] = {}


class Spent:
    """Requests, tokens and retries of a run.

    Args:
        out: The folder of the checkpoint; the counts are kept in the folder of its states.
        budget: Number of tokens that this process may send; None is without a limit.
    """

    def __init__(self, out: Path, budget: int | None):
        self._file = out.with_name(f"{out.name}.unfinished") / _FILE
        self._before = read_record(self._file, _Before) if self._file.exists() else _Before()
        self.usage = Usage(budget)

    def total(self) -> dict[str, Any]:
        """The counts of all processes so far, ready for JSON."""
        before, now = self._before, self.usage
        kinds = sorted({*before.retries, *now.faults})
        return {
            "requests": before.requests + now.requests,
            "tokens": before.tokens + now.tokens,
            "sampled": before.sampled + now.sampled,
            "retries": {kind: before.retries.get(kind, 0) + now.faults[kind] for kind in kinds},
        }

    def keep(self) -> None:
        """Write the counts, if there are any."""
        if self.usage.requests:
            put_text(self._file, json.dumps(self.total()))
