"""Columns of what a model costs to serve: its size, its speed under one load, and a price.

The size is that of `run.json` or of a speed file, the speed is that of `kdbench speed`. A table
shows the speeds of one load, backend and machine, because others do not compare.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from kdbench.config import TableSettings
from kdbench.errors import InputError
from kdbench.store.runs import StoredRun
from kdbench.store.speeds import SpeedRecord, Speeds, stored_speeds
from kdbench.tables.column import Column, Direction
from kdbench.tables.model import Cell

PRICE = "cost_per_million_tokens"
SERVING: dict[str, tuple[str, int, Direction]] = {
    "parameters": ("the number of parameters in millions", 2, "lower"),
    "disk": ("the size of the weights' files in megabytes", 1, "lower"),
    "weights": ("the size of the weights in megabytes, as they were measured", 1, "lower"),
    "bits_per_weight": ("the size of the weights in bits, divided by their number", 2, "lower"),
    "tokens_per_second": (
        "the number of tokens generated per second, all requests together",
        1,
        "higher",
    ),
    "latency_p50": ("the median time from a request to its last token in seconds", 3, "lower"),
    "latency_p95": ("the 95th percentile of that time in seconds", 3, "lower"),
    PRICE: ("the price of the machine while it generates a million tokens", 4, "lower"),
}
"""Description, decimals and direction of each column."""

_SIZES = ("parameters", "disk", "weights", "bits_per_weight")
_MILLION = 1e6


@dataclass(frozen=True)
class ServingColumn(Column):
    """A column of size, speed or price.

    Attributes:
        speeds: Speeds of all models; None for a column of size if none is stored.
        price: Price of the machine for an hour; None unless the column needs it.
    """

    speeds: Speeds | None = None
    price: float | None = None

    @property
    def predicates(self) -> tuple[str, str]:
        """The predicate of the sentence that describes the column; it has no plural."""
        predicate = f"is {SERVING[self.metric][0]}"
        if self.price is not None:
            predicate += f", at {self.price:g} an hour"
        return predicate, predicate

    def cell(self, run: StoredRun) -> Cell | None:
        """The run's number; None if it is not known."""
        value = self._value(run)
        return None if value is None else Cell(value, decimals=SERVING[self.metric][1])

    def _value(self, run: StoredRun) -> float | None:
        sha256 = run.record["model"].get("sha256")
        speed = None if self.speeds is None else self.speeds.of(run.model, sha256)
        if self.metric in _SIZES:
            return self._size(run, speed)
        if speed is None:
            return None
        if self.metric == PRICE:
            return speed.cost_per_million(self.price or 0.0)
        return float(getattr(speed, self.metric).value)

    def _size(self, run: StoredRun, speed: SpeedRecord | None) -> float | None:
        """A column of size; weights have the size of their files unless loading changed it."""
        model = run.record["model"]
        known = {key: model.get(key) for key in ("parameters", "disk_bytes")}
        if speed is not None:
            known = {
                key: v if v is not None else getattr(speed.model, key) for key, v in known.items()
            }
        parameters, disk = known["parameters"], known["disk_bytes"]
        weights = model.get("weight_bytes") or disk
        if self.metric == "bits_per_weight":
            return 8 * weights / parameters if weights and parameters else None
        size = {"parameters": parameters, "disk": disk, "weights": weights}[self.metric]
        return None if size is None else size / _MILLION


def serving_columns(settings: TableSettings, runs: Sequence[StoredRun]) -> dict[str, ServingColumn]:
    """The columns of this kind that `columns=` names.

    Args:
        settings: What the table shows.
        runs: Runs of the table, whose models count.

    Raises:
        InputError: A price is missing, no speed is stored, or `load=` fits none.
    """
    names = [name for name in dict.fromkeys(settings.columns) if name in SERVING]
    timed = [name for name in names if name not in _SIZES]
    if not names:
        return {}
    if PRICE in names and settings.price is None:
        raise InputError(f"columns={PRICE}: needs price=, what the machine costs for an hour")
    models = {(run.model, run.record["model"].get("sha256")) for run in runs}
    speeds = Speeds(stored_speeds(settings.results, models), settings.load)
    if timed and speeds.condition is None:
        raise InputError(
            f"columns={timed[0]}: no speed of these models in results={settings.results}; run "
            "kdbench speed model=…"
        )
    return {
        name: ServingColumn(
            name,
            name,
            (),
            False,
            direction=SERVING[name][2],
            arrow=True,
            speeds=speeds,
            price=settings.price if name == PRICE else None,
        )
        for name in names
    }


def load_notes(columns: Sequence[Column]) -> tuple[str, ...]:
    """Sentences on the load of the columns of speed; empty if there are none."""
    timed = [c for c in columns if isinstance(c, ServingColumn) and c.metric not in _SIZES]
    if not timed or timed[0].speeds is None or timed[0].speeds.condition is None:
        return ()
    speeds = timed[0].speeds
    dtypes = sorted({record.model.dtype or "unknown precision" for record in speeds.records})
    spread = max(_spread(record) for record in speeds.records)
    notes = [
        f"Speeds are those of {speeds.condition} ({', '.join(dtypes)}), prompts included in the "
        f"time; repeats differ by up to {spread:.1%}."
    ]
    if any(record.ends_early for record in speeds.records):
        shortest = min(record.new_tokens for record in speeds.records)
        notes.append(
            f"Some responses are shorter, down to {shortest:.1f} tokens on average, because the "
            "model ended them itself."
        )
    if speeds.others:
        others = "; ".join(map(str, speeds.others))
        notes.append(f"Other loads are stored (choose with load=): {others}.")
    return tuple(notes)


def _spread(record: SpeedRecord) -> float:
    speed = record.tokens_per_second
    return (speed.high - speed.low) / speed.value if speed.value else 0.0
