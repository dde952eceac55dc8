"""How long nodes took, and an estimate of how long the missing ones will take.

No speed is assumed. An estimate comes from the recorded times of similar nodes of this table, or
from the node's own log if its training was interrupted.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

from kdbench.filling.nodes import Node
from kdbench.store.schema import COUNT, POSITIVE, TEXT, Rule, check_fields

_TIME_LEFT = re.compile(r"(\d+(?:\.\d+)?) (s|min|h) left\s*$")
_SECONDS = {"s": 1, "min": 60, "h": 3600}


@dataclass(frozen=True)
class Timing:
    """What a finished node took: a line of `times.jsonl`.

    Attributes:
        kind: Kind of the node.
        what: Training method, or `evaluate`.
        amount: Examples that it trained on, or responses that it measured.
        seconds: Wall time.
    """

    kind: str
    what: str
    amount: int
    seconds: float


def record_time(models: Path, node: Node, seconds: float) -> None:
    """Record the time of a node that one call did from beginning to end.

    Args:
        models: Folder of checkpoints, which holds the recorded times.
        node: The node.
        seconds: Wall time.
    """
    amount = node.amount()
    if not amount:
        return
    timing = Timing(node.kind, node.pace, amount, round(seconds, 3))
    with times_file(models).open("a", encoding="utf-8") as file:
        file.write(f"\n{json.dumps(vars(timing))}")  # the newline first: a crash may cut a line


def recorded_times(models: Path) -> list[Timing]:
    """The recorded times of a table, without damaged lines.

    Args:
        models: Folder of checkpoints, which holds the recorded times.
    """
    if not times_file(models).exists():
        return []
    lines = times_file(models).read_bytes().splitlines()
    return [timing for timing in map(_timing, lines) if timing is not None]


_FIELDS = {
    "kind": TEXT,
    "what": TEXT,
    "amount": Rule("a whole number, 1 or larger", lambda v: COUNT.holds(v) and v > 0),
    "seconds": POSITIVE,
}


def _timing(line: bytes) -> Timing | None:
    """The timing in a line; None for a line that is damaged, as it only serves estimates."""
    try:
        fields = json.loads(line)
        check_fields(fields, _FIELDS)
        return Timing(**{key: fields[key] for key in _FIELDS})
    except (ValueError, RecursionError):
        return None


def estimated_seconds(node: Node, timings: Sequence[Timing], log_line: str = "") -> float | None:
    """Estimate how long a missing node will take.

    Args:
        node: The node.
        timings: Recorded times of the table.
        log_line: Last line of the node's log.

    Returns:
        Seconds of wall time, or None if no similar node has been timed.
    """
    left = _TIME_LEFT.search(log_line)
    if left and node.is_half_done():
        return float(left[1]) * _SECONDS[left[2]]
    of_kind = [timing for timing in timings if timing.kind == node.kind]
    similar = [timing for timing in of_kind if timing.what == node.pace] or of_kind
    amount = node.amount()
    if not similar or amount is None:
        return None
    return amount * mean(timing.seconds / timing.amount for timing in similar)


def times_file(models: Path) -> Path:
    """The file of the recorded times.

    Args:
        models: Folder of checkpoints, which holds it.
    """
    return models / "times.jsonl"
