"""The verbs of the command line."""

import os
import sys
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING

from kdbench.cli.answer import VerbAnswer, dry_run_answer, show_following
from kdbench.cli.app import EXIT_FAILED, EXIT_STALE, app, helps, verb
from kdbench.system.console import escape_unencodable
from kdbench.system.threads import wait_passively
from kdbench.text import printable

if TYPE_CHECKING:
    from kdbench.filling.filled import Filled


def main() -> None:
    """The console script."""
    wait_passively()
    escape_unencodable()
    if sys.argv[1:2] == ["__complete"]:
        sys.exit(_complete(sys.argv[2:]))
    sys.argv[1:2] = map(printable, sys.argv[1:2])  # an unknown option is repeated in the error
    app(prog_name="kdbench")


@verb("eval", "EvalSettings", "model=path/to/student data=path/to/data limit=20", group="Measure")
def _eval(arguments: list[str]) -> VerbAnswer:
    """Measure a checkpoint, and compare it with its teacher.

    Run the same command again after an interruption, and it resumes.
    """
    from kdbench.config import EvalSettings, parse
    from kdbench.evaluation import evaluate, plan_evaluation

    settings = parse(EvalSettings, arguments)
    _quiet()
    if settings.dry_run:
        return dry_run_answer(plan_evaluation(settings))
    from kdbench.cli.shown.evaluation import evaluation_answer

    if settings.shards is not None:
        from kdbench.filling.shards import evaluate_in_shards

        return evaluation_answer(settings, evaluate_in_shards(settings))
    return evaluation_answer(settings, evaluate(settings))


@verb("score", "ScoreSettings", "samples=texts.jsonl task=dolly data=path/to/data", group="Measure")
def _score(arguments: list[str]) -> VerbAnswer:
    """Score texts made elsewhere, or score a stored run again.

    Give samples=FILE and task=NAME, or run=FOLDER.
    """
    from kdbench.config import ScoreSettings, parse
    from kdbench.measuring.given_texts import plan_scoring, score

    settings = parse(ScoreSettings, arguments)
    _quiet()
    if settings.dry_run:
        return dry_run_answer(plan_scoring(settings))
    from kdbench.cli.shown.evaluation import evaluation_answer

    return evaluation_answer(settings, score(settings))


@verb(
    "judge",
    "kdbench.judging.settings:JudgeSettings",
    "student judge=openai:gpt-4o data=path/to/data",
    group="Measure",
)
def _judge(arguments: list[str]) -> VerbAnswer:
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

        return dry_run_answer(plan_judging(settings))
    from kdbench.cli.shown.evaluation import judgement_answer
    from kdbench.judging.work import judge

    return judgement_answer(settings, judge(settings))


@verb(
    "train",
    "TrainSettings",
    "method=gkd student=path/to/student teacher=path/to/teacher data=path/to/data",
    group="Make",
)
def _train(arguments: list[str]) -> VerbAnswer | int:
    """Train a student with a distillation method.

    Run the same command again after an interruption, and it resumes from the last saved state.
    """
    from kdbench.distillation.recipe import parse_recipe

    recipe = parse_recipe(arguments)
    _quiet()
    if recipe.settings.dry_run:
        from kdbench.distillation.dry_run import plan_training

        return dry_run_answer(plan_training(recipe))
    from kdbench.distillation.train import train

    trained = train(recipe)
    if os.environ.get("RANK", "0") != "0":  # only one process of a distributed run prints
        return 0
    from kdbench.cli.shown.training import training_answer

    return training_answer(recipe, trained)


@verb(
    "cache",
    "CacheSettings",
    "path/to/cache teacher=path/to/teacher data=path/to/data teacher_top_k=64",
    group="Make",
)
def _cache(arguments: list[str]) -> VerbAnswer | int:
    """Keep a teacher's scores for many runs, or show what is kept.

    OUT is the value of out=. Run the same command again after an interruption, and it resumes.
    Several processes with the same command share the work.
    """
    from kdbench.config import CacheSettings, parse

    settings = parse(CacheSettings, arguments)
    _quiet()
    if settings.dry_run:
        from kdbench.distillation.keeping_plan import plan_cache

        return dry_run_answer(plan_cache(settings))
    from kdbench.distillation.keeping import keep_scores

    kept = keep_scores(settings)
    if os.environ.get("RANK", "0") != "0":  # only one process of a distributed run prints
        return 0
    from kdbench.cli.shown.cached import cache_answer

    return cache_answer(kept)


@verb(
    "speed",
    "SpeedSettings",
    "model=path/to/student new_tokens=128 concurrency=1,8",
    group="Measure",
)
def _speed(arguments: list[str]) -> VerbAnswer:
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

        return dry_run_answer(plan_speed(settings))
    from kdbench.cli.shown.speed import speed_answer

    return speed_answer(settings, measure_speed(settings))


@verb(
    "kld",
    "kdbench.config.kld:KldSettings",
    "model=path/to/quantised teacher=path/to/full text=text.txt",
    group="Measure",
)
def _kld(arguments: list[str]) -> VerbAnswer:
    """Compare a quantised model with its full one over plain text.

    The figures are those of llama.cpp's llama-perplexity --kl-divergence. With out=FILE, run the
    same command again after an interruption, and it resumes.
    """
    from kdbench.config import parse
    from kdbench.config.kld import KldSettings

    settings = parse(KldSettings, arguments)
    _quiet()
    if settings.dry_run:
        from kdbench.fidelity.plain.dry_run import plan_kld

        return dry_run_answer(plan_kld(settings))
    from kdbench.cli.shown.kld import kld_answer
    from kdbench.fidelity.plain.compare import compare_on_text

    return kld_answer(compare_on_text(settings))


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
    from kdbench.cli.shown.diagnosis import show_diagnosis
    from kdbench.doctor.examine import examine

    try:
        diagnosis = examine(patient, settings)
    finally:
        patient.close()
    show_diagnosis(diagnosis, settings, arguments)
    return EXIT_STALE if diagnosis.count("error") else 0


@verb(
    "table",
    "TableSettings",
    "results=results columns=rougeL,acceptance out=README.md",
    group="Conclude",
)
def _table(arguments: list[str]) -> VerbAnswer:
    """Draw the comparison table from results and published numbers."""
    from kdbench.config import TableSettings, parse

    settings = parse(TableSettings, arguments)
    if settings.dry_run:
        from kdbench.tables.dry_run import plan_table

        return dry_run_answer(plan_table(settings))
    from kdbench.cli.shown.table import draw_table

    drawn = draw_table(settings)
    return VerbAnswer(drawn.show, drawn.document, EXIT_STALE if drawn.is_stale else 0)


@verb(
    "compare",
    "kdbench.comparing.settings:CompareSettings",
    "results/old/minillm-0a1b2c3d results/new/minillm-4e5f6a7b tolerance=rougeL:0.5",
    group="Conclude",
)
def _compare(arguments: list[str]) -> VerbAnswer | int:
    """Compare two runs on the same prompts; exit 1 on a regression.

    BASE and NEW are run folders, models in the results, or a gate's baseline.
    """
    from kdbench.comparing.compare import run_compare
    from kdbench.comparing.settings import CompareSettings
    from kdbench.config import parse

    settings = parse(CompareSettings, arguments)
    if settings.dry_run:
        from kdbench.comparing.dry_run import plan_comparison

        return dry_run_answer(plan_comparison(settings))
    return run_compare(settings)


@verb(
    "regress",
    "kdbench.comparing.settings:RegressSettings",
    "model=path/to/student baseline=student data=path/to/data",
    group="Conclude",
)
def _regress(arguments: list[str]) -> VerbAnswer | int:
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

        return dry_run_answer(plan_gate(settings))
    code = run_regress(settings)
    if settings.update:
        from kdbench.cli.next_command import after_update

        show_following(after_update(settings))
    return code


@verb(
    "plan",
    "kdbench.comparing.settings:PlanSettings",
    "run=student tolerance=rougeL:0.5",
    group="Conclude",
)
def _plan(arguments: list[str]) -> VerbAnswer:
    """Estimate how many prompts and seeds a gate needs."""
    from kdbench.cli.shown.plan import print_plan
    from kdbench.comparing.plan import plan
    from kdbench.comparing.settings import PlanSettings
    from kdbench.config import parse

    planned = plan(parse(PlanSettings, arguments))
    return VerbAnswer(partial(print_plan, planned), partial(asdict, planned))


@verb("report", "ReportSettings", "results=results baseline=SFT out=report", group="Conclude")
def _report(arguments: list[str]) -> VerbAnswer:
    """Write the results as a static site that opens from disk."""
    from kdbench.config import ReportSettings, parse
    from kdbench.site import make_report

    settings = parse(ReportSettings, arguments)
    if settings.dry_run:
        from kdbench.site.dry_run import plan_report

        return dry_run_answer(plan_report(settings))
    from kdbench.cli.shown.report import report_answer

    return report_answer(settings, make_report(settings))


@verb("view", "ViewSettings", "results=results baseline=SFT open=true", group="Conclude")
def _view(arguments: list[str]) -> None:
    """Serve the report's site here, and refresh it as runs finish.

    It listens on 127.0.0.1 alone. Ctrl-C ends it.
    """
    from kdbench.config import ViewSettings, parse
    from kdbench.site.view import view

    view(parse(ViewSettings, arguments))


@verb(
    "fill",
    "FillSettings",
    "TABLE.yaml workers=2 evaluate.limit=20 --plan",
    group="Make",
)
def _fill(arguments: list[str]) -> VerbAnswer:
    """Train and measure what a table lacks, then draw it.

    TABLE.yaml is the value of table=. A key with dots changes a key of that file.
    """
    from kdbench.config.fill import parse_fill

    settings = parse_fill(arguments)
    _quiet()
    from kdbench.filling.table import fill

    return _filled(fill(settings))


@verb("pack", "kdbench.config.pack:PackSettings", "toy-all", group="Conclude")
def _pack(arguments: list[str]) -> VerbAnswer:
    """Pack a filled table's results into one small file.

    TABLE is the value of table=. The file is for a repository, whose checkouts then have the table
    without thousands of files. All verbs that read results read packed ones too. The folders of
    the runs stay as they are.
    """
    from kdbench.cli.shown.packed import packed_answer
    from kdbench.config import parse
    from kdbench.config.pack import PackSettings
    from kdbench.filling.packing import pack

    return packed_answer(pack(parse(PackSettings, arguments)))


@verb("mechanisms", "MechanismSettings", "toy-all results=results/toy-all", group="Conclude")
def _mechanisms(arguments: list[str]) -> VerbAnswer:
    """Show whether methods moved what their ideas should move.

    It reads the table's file and its results. TABLE.yaml is the value of table=.
    """
    from kdbench.config import MechanismSettings, parse

    settings = parse(MechanismSettings, arguments)
    from kdbench.cli.shown.mechanisms import mechanisms_answer
    from kdbench.filling.stored_mechanisms import mechanisms

    return mechanisms_answer(mechanisms(settings), settings.format)


@verb("frontier", "FrontierSettings", "toy temperatures=0.5,0.7,1,1.3", group="Conclude")
def _frontier(arguments: list[str]) -> VerbAnswer:
    """Compare students by their curves of quality against entropy.

    TABLE is the value of table=: a table whose rows are trained; give the keys with dots that
    filled it. Each student is sampled at several temperatures, so that one that is only sharper
    lies on its baseline's curve. Without a table and students=, the stored runs are compared again.
    Run the same command again after an interruption, and it resumes.
    """
    from kdbench.config import FrontierSettings
    from kdbench.config.fill import parse_with_changes

    settings = parse_with_changes(FrontierSettings, arguments)
    _quiet()
    if settings.dry_run:
        from kdbench.frontiers.dry_run import plan_frontier

        return dry_run_answer(plan_frontier(settings))
    from kdbench.cli.shown.frontier import frontier_answer
    from kdbench.frontiers.run import frontier

    return frontier_answer(frontier(settings), settings.format)


@verb("demo", "DemoSettings", "limit=10", group="Make")
def _demo(arguments: list[str]) -> VerbAnswer:
    """Run the whole pipeline on a toy data set, without a network.

    It takes minutes on two cores.
    """
    from kdbench.config import DemoSettings, parse

    settings = parse(DemoSettings, arguments)
    _quiet()
    from kdbench.toy.demo import demo

    return _filled(demo(settings))


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


def _filled(filled: "Filled") -> VerbAnswer:
    from kdbench.cli.shown.filled import filled_answer

    return filled_answer(filled, EXIT_FAILED if filled.failed else 0)


def _quiet() -> None:
    from kdbench.system.quiet import quiet_libraries

    quiet_libraries()


# At the end, so that the lists come last in the help.
import kdbench.cli.analyses  # noqa: E402
import kdbench.cli.building  # noqa: E402
import kdbench.cli.exchange  # noqa: E402
import kdbench.cli.lists  # noqa: E402
import kdbench.cli.lookup  # noqa: E402, F401
