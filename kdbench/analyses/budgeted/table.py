"""A filled table as its file and its stored results have it, without a look at any model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kdbench.analyses.seeded.scores import check_prompts
from kdbench.distillation.recipe import Recipe, make_recipe
from kdbench.errors import InputError, nearest, nearest_path
from kdbench.filling.fingerprints import digest, non_defaults
from kdbench.filling.keys import training_keys
from kdbench.filling.mechanisms import current_runs
from kdbench.filling.rows import plugins_of
from kdbench.filling.spec import Entry, TableSpec
from kdbench.filling.tasks import shown_tasks
from kdbench.registry.plugins import stamp_of
from kdbench.store.runs import StoredRun, stored_runs

# Keys that change neither what a step does nor how; all others decide what a stored timing is of.
_NO_COST = {
    *("recipe", "student", "teacher", "data", "out", "label", "setting", "teacher_responses"),
    *("seed", "steps", "epochs", "learning_rate", "min_learning_rate", "lr_schedule"),
    *("warmup_steps", "valid_set", "validate_every", "validation_limit", "validation_samples"),
    *("select", "save_every", "report_to", "report_group", "device", "plugins", "dry_run"),
    *("unsafe_pickle", "trust_remote_code"),
}


@dataclass(frozen=True)
class BudgetRow:
    """A row of the table that was trained and measured.

    Attributes:
        label: Its label.
        keys: Hash of the keys that decide what a step of its training does.
        runs: Its results by training seed.
    """

    label: str
    keys: str
    runs: Mapping[int, StoredRun] = field(repr=False)


@dataclass(frozen=True)
class BudgetTable:
    """A table with its results.

    Attributes:
        rows: The rows that have results, in the order of the file.
        baseline: Label of the row that the others are compared with.
        tasks: Tasks that quality is a mean over.
        metric: The metric of quality.
        lower: Whether lower values of it are better.
        unit: Its unit.
        left_out: Rows that are left out, and why.
    """

    rows: tuple[BudgetRow, ...]
    baseline: str
    tasks: tuple[str, ...]
    metric: str
    lower: bool
    unit: str
    left_out: tuple[str, ...]

    def quality(self, row: BudgetRow) -> dict[int, float]:
        """The mean of the metric over tasks, by training seed."""
        return {
            seed: sum(_value(run, task, self.metric) or 0.0 for task in self.tasks)
            / len(self.tasks)
            for seed, run in sorted(row.runs.items())
        }


@dataclass(frozen=True)
class WantedRows:
    """Which rows are asked for: `rows=`, `baseline=`, `metric=` and `plugins=` of the analysis."""

    rows: Sequence[str] = ()
    baseline: str | None = None
    metric: str = "rougeL"
    plugins: Sequence[Path] = ()


def budget_table(spec: TableSpec, file: Path, results: Path, wanted: WantedRows) -> BudgetTable:
    """Read a table's rows and results.

    Args:
        spec: Specification of the table.
        file: Its file, for messages.
        results: Folder of its results.
        wanted: Which rows are asked for.

    Raises:
        InputError: The file is wrong, it has no results, a label or the metric is unknown, or rows
            were measured on different prompts.
    """
    recipes = _recipes(spec, wanted.plugins)
    labels = [label for label, _ in recipes]
    for label in wanted.rows:
        if label not in labels:
            raise InputError(f"rows={label}: {nearest(label, labels)}")
    baseline = _baseline(spec, wanted.baseline, recipes)
    asked = {*wanted.rows, baseline} if wanted.rows else set(labels)
    if asked == {baseline}:
        raise _nothing_to_compare(baseline, wanted.rows, file)
    if not results.is_dir():
        raise InputError(
            f"stored={results}: no such folder{nearest_path(results)}; kdbench fill {file.stem} "
            "measures the table's rows"
        )
    runs = current_runs(list(stored_runs(results, in_parts=True)), spec.setting or spec.title)
    rows, left_out = _with_results([one for one in recipes if one[0] in asked], runs)
    if baseline not in [row.label for row in rows]:
        raise InputError(
            f"stored={results}: no result of {baseline}, which the others are compared with; "
            f"kdbench fill {file.stem} measures it, or name another row with baseline="
        )
    every = [run for row in rows for run in row.runs.values()]
    tasks = [task for task in shown_tasks(spec, every) if _all_have(every, task, wanted.metric)]
    if not tasks:
        raise InputError(
            f"metric={wanted.metric}: no task has it in every run of stored={results}; name one "
            "that the table measures"
        )
    check_prompts({row.label: row.runs for row in rows}, tasks, f"stored={results}")
    known = every[0].results[tasks[0]].metrics[wanted.metric]
    if known.direction == "none":
        raise InputError(f"metric={wanted.metric}: is neither better nor worse; name another")
    lower = known.direction == "lower"
    return BudgetTable(
        tuple(rows), baseline, tuple(tasks), wanted.metric, lower, known.unit, tuple(left_out)
    )


def _nothing_to_compare(baseline: str, rows: Sequence[str], file: Path) -> InputError:
    if rows:
        return InputError(
            f"rows={','.join(rows)}: names only the baseline; name another row to compare with "
            f"{baseline}"
        )
    return InputError(f"{file}: rows: has only {baseline}; add another row to compare with it")


def _with_results(
    recipes: Sequence[tuple[str, Recipe | None]], runs: Sequence[StoredRun]
) -> tuple[list[BudgetRow], list[str]]:
    """The rows that were trained and measured; and why others are left out."""
    rows, left_out = list[BudgetRow](), list[str]()
    for label, recipe in recipes:
        own = {run.training_seed: run for run in runs if run.method == label}
        by_seed = {seed: run for seed, run in own.items() if seed is not None}
        if recipe is None:
            left_out.append(f"{label} (a given checkpoint, whose training is not known)")
        elif not by_seed:
            left_out.append(f"{label} (no results)")
        else:
            rows.append(BudgetRow(label, _keys_of(recipe), by_seed))
    return rows, left_out


def _recipes(spec: TableSpec, plugins: Sequence[Path]) -> list[tuple[str, Recipe | None]]:
    """The labels of the rows with their recipes; None for a given checkpoint."""
    found: list[tuple[str, Recipe | None]] = []
    for entry in spec.rows:
        if entry.train is None:
            found.append((entry.label or Path(str(entry.checkpoint)).name, None))
            continue
        recipe = _recipe(spec, entry, plugins)
        found.append((entry.label or recipe.settings.label or recipe.method.title, recipe))
    return found


def _recipe(spec: TableSpec, entry: Entry, plugins: Sequence[Path]) -> Recipe:
    start = {"student": "of the table"}  # which model it is decides nothing here
    return make_recipe({**start, **training_keys(spec, entry), **plugins_of(plugins)})


def _keys_of(recipe: Recipe) -> str:
    """A hash of what decides the cost of a step, models apart."""
    stamp = stamp_of(type(recipe.method))
    content = [non_defaults(recipe.settings, _NO_COST), non_defaults(recipe.method), stamp]
    return digest(content)[:16]


def _baseline(
    spec: TableSpec, given: str | None, recipes: Sequence[tuple[str, Recipe | None]]
) -> str:
    labels = [label for label, _ in recipes]
    if given is not None:
        if given not in labels:
            raise InputError(f"baseline={given}: {nearest(given, labels)}")
        return given
    if spec.undistilled in labels:
        return str(spec.undistilled)
    for label, recipe in recipes:
        if recipe is not None and recipe.settings.method == "sft":
            return label
    raise InputError(
        f"baseline=: the table has no row of method=sft; name the row that the others are compared "
        f"with: {', '.join(labels)}"
    )


def _all_have(runs: Sequence[StoredRun], task: str, metric: str) -> bool:
    return all(_value(run, task, metric) is not None for run in runs)


def _value(run: StoredRun, task: str, metric: str) -> float | None:
    result = run.results.get(task)
    found = None if result is None else result.metrics.get(metric)
    return None if found is None else found.value
