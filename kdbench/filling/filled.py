"""What a call of `kdbench fill` leaves: the table, drawn from the results of its rows."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kdbench.config import TableSettings, build
from kdbench.distillation.card import CARD
from kdbench.errors import InputError
from kdbench.filling.dry_run import PlannedNode
from kdbench.filling.graph import Graph
from kdbench.filling.logs import log_of
from kdbench.filling.mechanism_table import MechanismTable, mechanism_table
from kdbench.filling.nodes import ModelNode, TrainNode
from kdbench.filling.published import next_to_published, with_block
from kdbench.filling.rows import SpecRow
from kdbench.filling.state import State
from kdbench.filling.tasks import shown_tasks
from kdbench.measuring.identity import training_of
from kdbench.store.packed_folder import open_run
from kdbench.store.runs import StoredRun, stored_runs
from kdbench.system.files import read_json
from kdbench.system.notebook import cell, text
from kdbench.system.outputs import put_output
from kdbench.system.remote.hooks import fetch_checkpoint, watch
from kdbench.tables import Table, build_table
from kdbench.tables.recipes import merged_seeds
from kdbench.tables.side_by_side_table import SideBySide
from kdbench.tables.write import whole_file

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class FilledRow:
    """A model of a filled table: that of one training seed, or a given checkpoint.

    Attributes:
        label: Label of the row.
        seed: Seed of its training; None for a given checkpoint.
        checkpoint: Its folder, which may have been deleted since.
        run: Its results.
    """

    label: str
    seed: int | None
    checkpoint: Path
    run: StoredRun = field(repr=False)


@dataclass(frozen=True, repr=False)
class Filled:
    """The outcome of `fill`.

    Attributes:
        notes: Lines of the dry run, or lines to show below the table.
        failed: What went wrong, by key of the node.
        table: File of the table; None if nothing was drawn.
        drawn: The table; None if nothing was drawn.
        planned: The nodes of a dry run.
        mechanisms: Whether methods moved what they should; None if no row has `against`.
        published: The scores next to published ones; None without `spread`.
        rows: The teacher and the models of all rows, those that were measured.
    """

    notes: str
    failed: dict[str, str]
    table: Path | None = None
    drawn: Table | None = None
    planned: tuple[PlannedNode, ...] = ()
    mechanisms: MechanismTable | None = None
    published: SideBySide | None = None
    rows: tuple[FilledRow, ...] = ()

    @property
    def text(self) -> str:
        """Lines of the dry run, or the table as a terminal shows it with what is below it."""
        tables = (self.drawn, self.published, self.mechanisms)
        return "\n".join([*(str(table) for table in tables if table is not None), self.notes])

    def __repr__(self) -> str:
        return self.text.rstrip("\n")

    def to_pandas(self) -> "pd.DataFrame":
        """Return the table's cells as a tidy data frame.

        Raises:
            InputError: Nothing was drawn.
        """
        if self.drawn is None:
            raise InputError("no table was drawn: it was a dry run, or every row failed")
        return self.drawn.to_pandas()

    def _repr_html_(self) -> str:
        table = "" if self.drawn is None else self.drawn._repr_html_()
        return table + (cell([f"<pre>{text(self.text)}</pre>"]) if not table else "")


def draw_filled(graph: Graph, state: State, rows: Sequence[SpecRow]) -> Filled:
    """Draw the table of what is done, and say what failed.

    Args:
        graph: The table's graph.
        state: Its state.
        rows: The table's rows.
    """
    failures = _failure_lines(graph, state)
    filled_rows = _rows(graph, state)
    runs = [row.run for row in filled_rows]
    if not runs:
        return Filled(failures, state.failed)
    spec, places = graph.spec, graph.places
    settings = {
        "results": places.results,
        "tasks": shown_tasks(spec, runs),
        "columns": spec.columns,
        "metric": _metric(runs),
        "rows": list(dict.fromkeys(run.label for run in merged_seeds(runs))),
        "settings": ("measured", *spec.published),
        "published": spec.certainty if spec.published else "none",
    }
    table = build_table(build(TableSettings, settings), runs)
    compares = spec.mechanisms and any(row.entry.against for row in rows)
    mechanisms = mechanism_table(spec, rows, runs) if compares else None
    published = next_to_published(spec, table) if spec.spread else None
    file = places.results / "TABLE.md"
    watch(file)
    text = whole_file(file, "md", table.render("md"))
    text = with_block(text, "published", None if published is None else published.render("md"))
    drawn = None if mechanisms is None else mechanisms.render("md")
    put_output(file, with_block(text, "mechanisms", drawn))
    return Filled(
        f"{failures}table written to {file}\n",
        state.failed,
        file,
        table,
        mechanisms=mechanisms,
        published=published,
        rows=tuple(filled_rows),
    )


def _metric(runs: Sequence[StoredRun]) -> str:
    """The metric of the table: ROUGE-L, or the main metric of tasks without references."""
    default = str(TableSettings.model_fields["metric"].default)
    mains = dict.fromkeys(result.main_metric for run in runs for result in run.results.values())
    return default if default in mains else next(iter(mains), default)


def _rows(graph: Graph, state: State) -> list[FilledRow]:
    """The current runs of the rows, in order, without earlier runs of rows that have changed."""
    models = [
        (model, graph.evaluations[model.label])
        for model in (graph.teacher, *graph.rows)
        if graph.evaluations[model.label].key in state.done
    ]
    for model, evaluation in models:
        _record_seed(graph.places.results / evaluation.run_folder(), model)
    stored = {run.folder: run for run in stored_runs(graph.places.results)}
    rows = []
    for model, evaluation in models:
        run = stored[evaluation.run_folder()]
        labels = {"method": model.row, "setting": graph.setting}
        run = replace(run, record={**run.record, **labels})
        seed = model.recipe.settings.seed if isinstance(model, TrainNode) else None
        rows.append(FilledRow(model.row, seed, model.place, run))
    return rows


def _record_seed(folder: Path, model: ModelNode) -> None:
    """Record the seed and recipe of a training, which runs of earlier versions lack."""
    if not isinstance(model, TrainNode):
        return

    def change(record: dict[str, Any]) -> dict[str, Any]:
        if "seed" in (record.get("training") or {}):
            return record
        fetch_checkpoint(model.place, CARD)
        return {**record, "training": training_of(read_json(model.place / CARD))}

    open_run(folder).update_run(change)


def _failure_lines(graph: Graph, state: State) -> str:
    lines = []
    for key, error in state.failed.items():
        log = log_of(graph.nodes[key], graph.places.models)
        lines.append(f"failed: {key}: {error} (log: {log})\n")
    for key, failed in state.blocked(graph).items():
        lines.append(f"not started: {key}: needs {failed}, which failed\n")
    return "".join(lines)
