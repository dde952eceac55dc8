"""`--dry-run` of compare and regress: what would be compared, measured and written."""

from collections.abc import Iterator, Sequence

from kdbench.comparing.baseline import baseline_path
from kdbench.comparing.compare import compared_runs, gate_tolerances
from kdbench.comparing.matching import comparison_problems
from kdbench.comparing.regress import check_comparable, eval_settings, find_baseline
from kdbench.comparing.scores import ComparedRun, read_run
from kdbench.comparing.settings import CompareSettings, GateSettings, RegressSettings
from kdbench.comparing.tolerance import format_tolerances
from kdbench.config import given_facts
from kdbench.errors import InputError
from kdbench.store.runs import one_run
from kdbench.system.outline import Fact, Section


def plan_comparison(settings: CompareSettings) -> list[Section]:
    """What `compare` would do: both runs are read and checked, nothing is tested or written.

    Raises:
        InputError: As for `compare`, or the runs cannot be compared.
    """
    base, new, notes = compared_runs(settings)
    title = "kdbench compare: a dry run, which writes nothing"
    facts = (*given_facts(settings), *(Fact("left out", note) for note in notes))
    return [Section(title, facts), *_comparison(settings, base, new)]


def plan_gate(settings: RegressSettings) -> list[Section]:
    """What `regress` would do: every check is made, nothing is measured, tested or written.

    Raises:
        InputError: As for `regress`, but for what only the loaded model shows.
    """
    title = "kdbench regress: a dry run, which writes nothing"
    sections = [Section(title, given_facts(settings))]
    base = None if settings.update else find_baseline(settings)
    if settings.run is not None:
        run = read_run(one_run(settings.run, "run", settings.results))
        if base is not None:
            return [*sections, *_comparison(settings, base, run)]
        return [*sections, _run("Run", run), _gate(settings, None)]
    from kdbench.evaluation import plan_evaluation

    wanted = eval_settings(settings, base)
    if base is not None:
        check_comparable(wanted, base, settings.allow_partial)
        sections.append(_run("Baseline", base))
    return [*sections, _gate(settings, base), *plan_evaluation(wanted)[1:]]


def _comparison(settings: GateSettings, base: ComparedRun, new: ComparedRun) -> Iterator[Section]:
    """The sections of a comparison of two stored runs.

    Raises:
        InputError: They cannot be compared.
    """
    tolerances = gate_tolerances(settings, base)
    for problem in comparison_problems(base, new, tolerances, settings.allow_partial):
        raise InputError(problem.text)
    yield _run("Base", base)
    yield _run("New", new)
    facts = [
        Fact(task, f"{len(set(base.tasks[task].ids) & set(new.tasks[task].ids))} prompts in common")
        for task in base.tasks
        if task in new.tasks
    ]
    yield Section("Prompts", tuple(facts))
    yield _gate(settings, base)


def _run(title: str, run: ComparedRun) -> Section:
    place = "a baseline" if run.folder is None else str(run.folder)
    if run.trainings:
        place = " ".join(str(training.folder) for training in run.trainings)
    limit = "" if run.limit is None else f", limit={run.limit}"
    return Section(
        title,
        (
            Fact("name", run.title),
            Fact("from", place),
            Fact("tasks", f"{' '.join(run.tasks)} ({run.status}{limit})"),
        ),
    )


def _gate(settings: GateSettings, base: ComparedRun | None) -> Section:
    """How the gate decides, and which files are written."""
    rules = settings.rules
    also = ["strict"] * rules.strict + ["require_conclusive"] * rules.require_conclusive
    facts = [Fact("tolerance", format_tolerances(gate_tolerances(settings, base)))]
    if base is not None:
        test = [f"interval={settings.interval}", f"alpha={rules.alpha:g}"]
        test.append(f"{settings.resamples} resamples")
        facts.append(Fact("test", ", ".join([*test, *also])))
    facts.append(Fact("writes", _files(settings) or "nothing"))
    return Section("Gate", tuple(facts))


def _files(settings: GateSettings) -> str:
    files: Sequence[object] = [path for path in settings.outputs if path is not None]
    if isinstance(settings, RegressSettings) and settings.update:
        files = [baseline_path(settings.baseline, settings.gates)]
    return " ".join(map(str, files))
