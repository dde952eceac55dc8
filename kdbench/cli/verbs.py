"""The verbs of the command line."""

import os
import sys
from typing import TYPE_CHECKING

from kdbench.cli.app import EXIT_FAILED, EXIT_STALE, app, helps, verb
from kdbench.system.console import escape_unencodable, report_progress, say
from kdbench.system.threads import wait_passively
from kdbench.text import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kdbench.system.outline import Section


def main() -> None:
    """The console script."""
    wait_passively()
    escape_unencodable()
    if sys.argv[1:2] == ["__complete"]:
        sys.exit(_complete(sys.argv[2:]))
    sys.argv[1:2] = map(printable, sys.argv[1:2])  # an unknown option is repeated in the error
    app(prog_name="kdbench")


@verb("eval", "EvalSettings", "model=path/to/student data=path/to/data limit=20", group="Measure")
def _eval(arguments: list[str]) -> None:
    """Measure a checkpoint, and compare it with its teacher.

    Run the same command again after an interruption, and it resumes.
    """
    from kdbench.config import EvalSettings, parse
    from kdbench.evaluation import evaluate, plan_evaluation

    settings = parse(EvalSettings, arguments)
    _quiet()
    if settings.dry_run:
        _outline(plan_evaluation(settings))
        return
    from kdbench.cli.printing import print_evaluation

    print_evaluation(evaluate(settings))


@verb("score", "ScoreSettings", "samples=texts.jsonl task=dolly data=path/to/data", group="Measure")
def _score(arguments: list[str]) -> None:
    """Score texts made elsewhere, or score a stored run again.

    Give samples=FILE and task=NAME, or run=FOLDER.
    """
    from kdbench.config import ScoreSettings, parse
    from kdbench.measuring.given_texts import plan_scoring, score

    settings = parse(ScoreSettings, arguments)
    _quiet()
    if settings.dry_run:
        _outline(plan_scoring(settings))
        return
    from kdbench.cli.printing import print_evaluation

    print_evaluation(score(settings))


@verb(
    "judge",
    "kdbench.judging.settings:JudgeSettings",
    "student judge=openai:gpt-4o data=path/to/data",
    group="Measure",
)
def _judge(arguments: list[str]) -> None:
    """Have a model grade a run's responses, or compare two runs.

    RUN and AGAINST are the values of run= and judge_against=. Run the same command again after an
    interruption, and it asks only what is missing.
    """
    from kdbench.config import parse
    from kdbench.judging.settings import JudgeSettings

    settings = parse(JudgeSettings, arguments)
    _quiet()
    if settings.dry_run:
        from kdbench.judging.dry_run import plan_judging

        _outline(plan_judging(settings))
        return
    from kdbench.cli.judged import judge_lines
    from kdbench.judging.work import judge

    judged = judge(settings)
    for line in judge_lines(judged.results):
        say(line)
    say(f"results in {judged.run}")


@verb(
    "train",
    "TrainSettings",
    "method=gkd student=path/to/student teacher=path/to/teacher data=path/to/data",
    group="Make",
)
def _train(arguments: list[str]) -> None:
    """Train a student with a distillation method.

    Run the same command again after an interruption, and it resumes from the last saved state.
    """
    from kdbench.distillation.recipe import parse_recipe

    recipe = parse_recipe(arguments)
    _quiet()
    if recipe.settings.dry_run:
        from kdbench.distillation.dry_run import plan_training

        _outline(plan_training(recipe))
        return
    from kdbench.distillation.train import train

    trained = train(recipe)
    if os.environ.get("RANK", "0") == "0":  # only one process of a distributed run prints
        from kdbench.cli.printing import print_training

        print_training(trained)


@verb(
    "speed",
    "SpeedSettings",
    "model=path/to/student new_tokens=128 concurrency=1,8",
    group="Measure",
)
def _speed(arguments: list[str]) -> None:
    """Time a model under a stated load: speed and latency.

    Every request has a prompt and a response of the same length. Run it on an otherwise idle
    machine.
    """
    from kdbench.config import SpeedSettings, parse
    from kdbench.serving.speed import measure_speed

    settings = parse(SpeedSettings, arguments)
    _quiet()
    if settings.dry_run:
        from kdbench.serving.dry_run import plan_speed

        _outline(plan_speed(settings))
        return
    from kdbench.cli.printing import print_speed

    print_speed(measure_speed(settings))


@verb(
    "doctor",
    "kdbench.doctor.settings:DoctorSettings",
    "train method=gkd student=path/to/student teacher=path/to/teacher data=path/to/data",
    words="eval|train",
    group="Measure",
)
def _doctor(arguments: list[str]) -> int:
    """Check a run for faults before you start it; exit 1 on errors.

    Put doctor before the verb of a command to have it checked: after the word eval or train it
    takes all keys of that verb, and of the method. The keys below are its own.
    """
    from kdbench.doctor.settings import parse_doctor

    patient, settings = parse_doctor(arguments)
    _quiet()
    from kdbench.doctor.examine import examine
    from kdbench.doctor.output import as_json, lines
    from kdbench.system.outputs import is_standard_output, put_json_output

    try:
        diagnosis = examine(patient, settings)
    finally:
        patient.close()
    if settings.json_file is not None:
        put_json_output(settings.json_file, as_json(diagnosis))
    if settings.json_file is None or not is_standard_output(settings.json_file):
        for line in lines(diagnosis, settings):
            say(line)
    return EXIT_STALE if diagnosis.count("error") else 0


@verb(
    "table",
    "TableSettings",
    "results=results columns=rougeL,acceptance out=README.md",
    group="Conclude",
)
def _table(arguments: list[str]) -> int:
    """Draw the comparison table from results and published numbers."""
    from kdbench.config import TableSettings, parse
    from kdbench.store.runs import stored_runs
    from kdbench.system.outputs import STANDARD_OUTPUT, is_stream, put_output
    from kdbench.tables import build_table, unshown_tasks
    from kdbench.tables.write import form_of, stale_diff, whole_file

    settings = parse(TableSettings, arguments)
    if settings.dry_run:
        from kdbench.tables.dry_run import plan_table

        return _outline(plan_table(settings))
    form = form_of(settings.out, settings.format)
    runs = list(stored_runs(settings.results))
    text = build_table(settings, runs).render(form)
    if tasks := unshown_tasks(settings, runs):
        report_progress(f"note: not shown: {', '.join(tasks)}; tasks= chooses the tasks")
    if settings.out is None or is_stream(settings.out):
        put_output(settings.out or STANDARD_OUTPUT, text)
        return 0
    text = whole_file(settings.out, form, text, settings.block)
    diff = stale_diff(settings.out, text)
    if settings.check:
        sys.stdout.write(diff)
        return EXIT_STALE if diff else 0
    if diff:
        put_output(settings.out, text)
    say(f"{settings.out}: {'written' if diff else 'up to date'}")
    return 0


@verb(
    "compare",
    "kdbench.comparing.settings:CompareSettings",
    "results/old/minillm-0a1b2c3d results/new/minillm-4e5f6a7b tolerance=rougeL:0.5",
    group="Conclude",
)
def _compare(arguments: list[str]) -> int:
    """Compare two runs on the same prompts; exit 1 on a regression.

    BASE and NEW are run folders, models in the results, or a gate's baseline.
    """
    from kdbench.comparing.compare import run_compare
    from kdbench.comparing.settings import CompareSettings
    from kdbench.config import parse

    settings = parse(CompareSettings, arguments)
    if settings.dry_run:
        from kdbench.comparing.dry_run import plan_comparison

        return _outline(plan_comparison(settings))
    return run_compare(settings)


@verb(
    "regress",
    "kdbench.comparing.settings:RegressSettings",
    "model=path/to/student baseline=student data=path/to/data",
    group="Conclude",
)
def _regress(arguments: list[str]) -> int:
    """Gate a checkpoint against a baseline; exit 1 on a regression.

    With --update it writes the baseline instead. Tasks, limit and protocol that are not given are
    the baseline's, and the metrics are those with a tolerance.
    """
    from kdbench.comparing.regress import run_regress
    from kdbench.comparing.settings import RegressSettings
    from kdbench.config import parse

    settings = parse(RegressSettings, arguments)
    _quiet()
    if settings.dry_run:
        from kdbench.comparing.dry_run import plan_gate

        return _outline(plan_gate(settings))
    return run_regress(settings)


@verb(
    "plan",
    "kdbench.comparing.settings:PlanSettings",
    "run=student tolerance=rougeL:0.5",
    group="Conclude",
)
def _plan(arguments: list[str]) -> None:
    """Estimate how many prompts and seeds a gate needs."""
    from kdbench.comparing.plan import plan
    from kdbench.comparing.settings import PlanSettings
    from kdbench.config import parse

    sys.stdout.write(str(plan(parse(PlanSettings, arguments))))


@verb("report", "ReportSettings", "results=results baseline=SFT out=report", group="Conclude")
def _report(arguments: list[str]) -> None:
    """Plot the quality of students against their fidelity."""
    from kdbench.config import ReportSettings, parse
    from kdbench.reports import make_report
    from kdbench.reports.correlations import correlation_line

    settings = parse(ReportSettings, arguments)
    if settings.dry_run:
        from kdbench.reports.dry_run import plan_report

        _outline(plan_report(settings))
        return
    report = make_report(settings)
    for file in report.files:
        say(str(file))
    for line in report.findings.left_out:
        say(f"left out: {line}")
    for correlation in report.findings.correlations:
        say(f"Spearman correlation of {correlation_line(correlation)}")


@verb(
    "fill",
    "FillSettings",
    "TABLE.yaml workers=2 evaluate.limit=20 --plan",
    group="Make",
)
def _fill(arguments: list[str]) -> int:
    """Train and measure what a table lacks, then draw it.

    TABLE.yaml is the value of table=. A key with dots changes a key of that file.
    """
    from kdbench.config.fill import parse_fill

    settings = parse_fill(arguments)
    _quiet()
    from kdbench.filling.table import fill

    filled = fill(settings)
    sys.stdout.write(filled.text)
    return EXIT_FAILED if filled.failed else 0


@verb("demo", "DemoSettings", "limit=10", group="Make")
def _demo(arguments: list[str]) -> int:
    """Run the whole pipeline on a toy data set, without a network.

    It takes minutes on two cores.
    """
    from kdbench.config import DemoSettings, parse

    settings = parse(DemoSettings, arguments)
    _quiet()
    from kdbench.toy.demo import demo

    filled = demo(settings)
    sys.stdout.write(filled.text)
    return EXIT_FAILED if filled.failed else 0


def _complete(arguments: list[str]) -> int:
    """Print what can come next on a command line; a shell's completion shows no error."""
    from kdbench.cli.completion.entry import complete
    from kdbench.errors import InputError

    try:
        lines = complete(arguments, helps)
    except (InputError, OSError):  # of a plug-in, or of a folder that cannot be read
        return 1
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    return 0


def _outline(sections: "Sequence[Section]") -> int:
    from kdbench.cli.outline import outline_lines

    for line in outline_lines(sections):
        say(line)
    return 0


def _quiet() -> None:
    from kdbench.system.quiet import quiet_libraries

    quiet_libraries()


# At the end, so that the lists come last in the help.
import kdbench.cli.lists  # noqa: E402, F401
