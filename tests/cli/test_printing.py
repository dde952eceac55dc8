"""What the verbs print after measuring: one line per task, numbers under their titles."""

from pathlib import Path

import pytest

from kdbench.cli.printing import print_evaluation
from kdbench.measuring.measurement import Evaluation
from kdbench.store.folder import RunFolder

STORED = Path(__file__).parents[2] / "results" / "smollm2-135m"


def printed(student: str, capsys: pytest.CaptureFixture[str]) -> list[str]:
    (path,) = (STORED / student).glob("minillm*")
    run = RunFolder(path)
    results = {"dolly": run.read_task("dolly"), "vicuna": run.read_task("vicuna")}
    print_evaluation(Evaluation(path, {k: v for k, v in results.items() if v}, 3))
    return capsys.readouterr().out.splitlines()


def test_a_run_is_printed_with_its_comparison(capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed("GKD", capsys)
    assert [line.split()[0] for line in lines[:3]] == ["task", "dolly", "vicuna"]
    assert lines[0].split()[1:3] == ["prompts", "rougeL"]
    assert len({line.index(" ± ") for line in lines[1:3]}) == 1
    assert lines[3].startswith("compared with Teacher  acceptance@student  top1@student")
    assert lines[6] == "in brackets: share of the gap from undistilled student to ceiling"
    assert lines[7].startswith("3 samples generated; results in ")


def test_a_run_without_a_teacher_has_no_comparison(capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed("Teacher", capsys)
    assert len(lines) == 4
    assert lines[3].startswith("3 samples generated")
