"""The next command is one that can be pasted: quoted, with the values that were given."""

import shlex
from dataclasses import replace
from pathlib import Path

from kdbench.cli.next_command import after_doctor, after_eval, after_fill, after_judge, command
from kdbench.config import EvalSettings, TableSettings, parse
from kdbench.judging.settings import JudgeSettings
from kdbench.judging.work import JudgedRun
from kdbench.measuring.measurement import Evaluation
from kdbench.store.results import TaskResult, read_task

STORED = Path(__file__).parents[2] / "results" / "smollm2-135m-h100"


def stored(name: str, task: str = "dolly") -> TaskResult:
    return read_task(next((STORED / name).glob("minillm*")) / f"{task}.json")


def test_after_an_evaluation_comes_the_table_with_fidelity_if_there_was_a_teacher() -> None:
    settings = EvalSettings(model="m", results=Path("my results"))
    alone = after_eval(settings, Evaluation(Path("r"), {"dolly": stored("Teacher")}, 0))
    assert alone == "kdbench table 'results=my results'"
    settings = EvalSettings(model="m")
    taught = after_eval(settings, Evaluation(Path("r"), {"mine": stored("GKD")}, 0))
    assert taught == "kdbench table tasks=mine columns=rougeL,acceptance,top1"
    parse(TableSettings, shlex.split(taught)[2:])  # every key is one


def test_a_metric_whose_name_has_a_comma_is_not_put_into_a_list() -> None:
    result = stored("Teacher")
    own = replace(result, main_metric="acc,none", metrics={"acc,none": result.metrics["rougeL"]})
    line = after_eval(EvalSettings(model="m"), Evaluation(Path("r"), {"arc": own}, 0))
    assert line == "kdbench table tasks=arc"


def test_values_are_quoted_for_a_shell() -> None:
    line = command("eval", model="a b; rm -rf $HOME", teacher=None)
    assert shlex.split(line) == ["kdbench", "eval", "model=a b; rm -rf $HOME"]
    assert after_doctor("eval", ["model=a b"]) == "kdbench eval 'model=a b'"
    assert after_doctor("eval", ["model=m", "backend_options=api_key=s3cret"]) == ""
    assert after_doctor("eval", ["judge_key_env=KEY"]) == "kdbench eval judge_key_env=KEY"


def test_defaults_are_left_out() -> None:
    assert after_fill(Path("results")) == "kdbench report"
    assert after_fill(Path("results/demo")) == "kdbench report results=results/demo"
    settings = JudgeSettings(run="student", judge="openai:m")
    judged = JudgedRun(Path("r"), {"dolly": stored("GKD")}, 1, 0, {})
    assert after_judge(settings, judged) == "kdbench table columns=judging"
