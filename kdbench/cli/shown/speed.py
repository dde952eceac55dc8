"""The speed of a model under each load."""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from kdbench.cli.answer import VerbAnswer
from kdbench.cli.next_command import after_speed
from kdbench.cli.shown.printer import Printer
from kdbench.system.layout import GridCell, NumberCell
from kdbench.text import counted

if TYPE_CHECKING:
    from kdbench.config import SpeedSettings
    from kdbench.serving.speed import SpeedMeasurement


def speed_answer(settings: "SpeedSettings", measurement: "SpeedMeasurement") -> VerbAnswer:
    """The answer of `speed`.

    Args:
        settings: Keys of the verb.
        measurement: The speeds.
    """
    return VerbAnswer(
        partial(print_speed, measurement),
        partial(speed_document, measurement),
        following=after_speed(settings),
    )


def print_speed(measurement: "SpeedMeasurement") -> None:
    """Print a row for each load."""
    records = measurement.records
    titles = ("requests at a time", "tokens a second", "latency p50 (s)", "latency p95 (s)")
    rows: list[Sequence[GridCell]] = [[*titles, "tokens of a response"]]
    for record in records.values():
        speeds = (record.tokens_per_second, record.latency_p50, record.latency_p95)
        cells = [
            NumberCell(f"{s.value:.4g}", (("interval", f"[{s.low:.4g}, {s.high:.4g}]"),))
            for s in speeds
        ]
        rows.append([str(record.load.concurrency), *cells, f"{record.new_tokens:.4g}"])
    first = next(iter(records.values()))
    load, model = first.load, first.model
    in_dtype = f" in {model.dtype}" if model.dtype else ""
    printer = Printer("the lowest and the highest repeat")
    printer.notes(
        [
            f"{model.name}{in_dtype}, backend {first.backend['name']}, {first.hardware}: prompts "
            f"of {counted(load.prompt_tokens, 'token')}, responses of {load.new_tokens}"
        ]
    )
    printer.table(rows, left=())
    if "interval" not in printer.dropped:
        printer.notes(["in brackets: the lowest and the highest repeat"])
    printer.close()
    if any(record.ends_early for record in records.values()):
        tokens = counted(load.new_tokens, "token")
        printer.notes([f"the model ended responses itself, before {tokens}"])
    stored = len(records) - measurement.measured
    folder = next(iter(records)).parent
    printer.line(f"{measurement.measured} measured now, {stored} before; results in {folder}")


def speed_document(measurement: "SpeedMeasurement") -> dict[str, Any]:
    """The same, for JSON: the content of each stored file."""
    return {
        "measured": measurement.measured,
        "speeds": [
            {"file": path, **record.model_dump(mode="json")}
            for path, record in measurement.records.items()
        ],
    }
