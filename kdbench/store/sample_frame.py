"""Stored responses as a data frame: what was asked, what each model said, and the scores."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kdbench.errors import InputError, nearest
from kdbench.store.folder import RunFolder
from kdbench.store.frames import RUN_COLUMNS, run_fields
from kdbench.store.packed_folder import open_run
from kdbench.store.results import read_task
from kdbench.store.runs import StoredRun, run_folders, stored_runs
from kdbench.store.samples import read_sample
from kdbench.store.schema import is_number
from kdbench.system.frames import COUNT, LIST, NUMBER, TEXT, frame

if TYPE_CHECKING:
    import pandas as pd

_COLUMNS = {
    **RUN_COLUMNS,
    "task": TEXT,
    "id": TEXT,
    "seed": COUNT,
    "category": TEXT,
    "prompt": TEXT,
    "references": LIST,
    "output": TEXT,
    "answer": TEXT,
    "n_tokens": COUNT,
    "n_thinking_tokens": COUNT,
    "finish": TEXT,
}


def samples_frame(runs: Mapping[Path, Sequence[str]]) -> "pd.DataFrame":
    """Return the samples of runs: a row for each document and seed, and a column for each metric.

    Prompts and references are those stored with the run, missing if there are none. A metric whose
    name is that of another column has ` score` after it. Tasks that are scored by likelihood have
    no samples.

    Args:
        runs: Folders of the runs, and names of the tasks; without names all that have samples.

    Raises:
        InputError: A task is unknown, no samples are stored, or a file is damaged.
    """
    metrics: dict[str, str] = {}
    if not runs:
        raise InputError("run=: names no run")
    rows = [row for run, tasks in runs.items() for row in _rows(open_run(run), tasks, metrics)]
    tasks = dict.fromkeys(task for named in runs.values() for task in named)
    _check_found(list(runs), list(tasks), {row["task"] for row in rows})
    return frame(rows, {**_COLUMNS, **dict.fromkeys(metrics.values(), NUMBER)})


def _check_found(runs: Sequence[Path], tasks: Sequence[str], found: set[str]) -> None:
    missing = [task for task in tasks if task not in found]
    if found and not missing:
        return
    known = {task for run in runs for task in open_run(run).read_whole_run()["tasks"]}
    for task in missing:
        if task not in known:
            raise InputError(f"task={task}: these runs have no such task: {nearest(task, known)}")
        if any(open_run(run).lines(f"{task}.options").path.exists() for run in runs):
            raise InputError(f"task={task}: is scored by likelihood, so it has no responses")
    what = f"task={missing[0]}: " if missing else ""
    raise InputError(
        f"{what}no samples are stored in {', '.join(map(str, runs[:3]))}"
        f"{' …' if len(runs) > 3 else ''}; kdbench eval stores them with the results"
    )


def _rows(
    run: RunFolder, tasks: Sequence[str], metrics: dict[str, str]
) -> Iterator[dict[str, Any]]:
    record = run.read_whole_run()
    stored = StoredRun(f"{run.path.parent.name}/{run.path.name}", record, {})
    fields = run_fields(stored)
    for task in tasks or record["tasks"]:
        file = run.lines(task)
        if task not in record["tasks"] or not file.path.exists():
            continue
        asked = _asked(run, task)
        for number, line in enumerate(file.read(), start=1):
            sample = read_sample(line, f"{file.path}:{number}")
            yield {
                **fields,
                "task": task,
                "id": sample.document,
                "seed": sample.seed,
                **asked.get(sample.document, {}),
                "output": sample.output,
                "answer": sample.answer,
                "n_tokens": sample.n_tokens,
                "n_thinking_tokens": sample.n_thinking_tokens,
                "finish": sample.finish,
                **_scores(line.get("scores") or {}, metrics, f"{file.path}:{number}"),
            }


def _asked(run: RunFolder, task: str) -> dict[str, dict[str, Any]]:
    """The prompt, references and category of each document, as far as they are stored."""
    asked: dict[str, dict[str, Any]] = {}
    result = run.path / f"{task}.json"
    if result.exists() and (categories := (stored := read_task(result)).categories):
        ids = stored.documents["id"]
        asked = {id_: {"category": c} for id_, c in zip(ids, categories, strict=True)}
    for prompt in run.prompts(task):
        asked[prompt.id] = {
            "prompt": prompt.prompt,
            "references": list(prompt.references),
            "category": prompt.category,
        }
    return asked


def _scores(scores: Any, metrics: dict[str, str], place: str) -> dict[str, Any]:
    if not isinstance(scores, Mapping) or not all(
        value is None or is_number(value) for value in scores.values()
    ):
        raise InputError(f"{place}: 'scores' must be numbers or null by metric")
    for name in scores:
        metrics.setdefault(name, f"{name} score" if name in _COLUMNS else name)
    return {metrics[name]: value for name, value in scores.items()}


def find_runs(name: str, results: Path) -> list[Path]:
    """Return the folders of the runs that a name stands for.

    Args:
        name: Folder of a run, folder of results, or name of a model in the results.
        results: Folder of the results.

    Raises:
        InputError: There is no such run.
    """
    if (Path(name) / "run.json").is_file():
        return [Path(name)]
    if folders := run_folders(name, results):
        shown = [run for run in folders if not open_run(run).read_whole_run().get("auxiliary")]
        return shown or folders  # an extra run of a teacher counts only if it is named itself
    if found := [Path(name) / run.folder for run in stored_runs(Path(name))]:
        return found
    models = {run.model for run in stored_runs(results)}
    hint = f": {nearest(name, models)}" if models else ""
    raise InputError(
        f"run={name}: is not a run folder, a folder of results or a model in "
        f"results={results}{hint}"
    )
