"""Committed tables match the committed results, and CI runs the README's commands."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import kdbench
from kdbench.distillation.recipe import make_recipe
from kdbench.errors import InputError
from kdbench.filling.spec import read_spec
from kdbench.filling.spec_files import find_spec
from kdbench.store.runs import stored_runs
from tests.helpers.docs_scripts import docs_script

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
LEADERBOARD = (ROOT / "docs" / "leaderboard.md").read_text(encoding="utf-8")
IMAGES = ROOT / "docs" / "images"
SMALL = (
    "table results=results/smollm2-135m rows=Teacher,SFT,GKD,DistiLLM-2,Classmate,Sharpening "
    "columns=AVG,acceptance published=none details=false out=README.md block=smollm2-135m"
)


def test_the_tables_are_not_stale() -> None:
    drawn = re.findall(r"`kdbench (table [^`]*out=docs/leaderboard\.md[^`]*)`", LEADERBOARD)
    assert len(drawn) == len(re.findall("<!-- kdbench:begin (?!answer)", LEADERBOARD)) == 5
    assert README.count("<!-- kdbench:begin") == 1
    for command_line in (SMALL, *drawn):
        command = [sys.executable, "-m", "kdbench", *shlex.split(command_line), "--check"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (0, ""), done.stderr


def test_the_answers_and_pictures_in_the_pages_are_those_that_are_stored() -> None:
    command = [sys.executable, "docs/answers.py", "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize(
    "lines",
    [
        ["<!-- kdbench:begin answer FILE -->", "Kept."],
        ["<!-- kdbench:begin answer FILE sentence -->", "<!-- kdbench:end answer -->"],
        [
            "<!-- kdbench:begin answer FILE -->",
            "Kept.",
            "<!-- kdbench:begin answer FILE -->",
            "<!-- kdbench:end answer -->",
        ],
    ],
    ids=["no end", "an unknown part", "no end before another answer"],
)
def test_an_answer_without_end_or_with_an_unknown_part_is_refused(
    lines: list[str], tmp_path: Path
) -> None:
    page = tmp_path / "page.md"
    file = "results/analyses/toy-all/seeds.json"
    page.write_text("\n".join(lines).replace("FILE", file), encoding="utf-8")
    with pytest.raises(InputError, match=r"page\.md: an answer names a part other than"):
        docs_script("answers.py").with_answers(page)


def test_the_committed_results_fill_the_bundled_table() -> None:
    """Every row of the table file has complete results of all tasks, 50 prompts and five seeds."""
    spec = read_spec(find_spec("smollm2-135m-h100"))
    runs = {run.label: run for run in stored_runs(ROOT / "results" / "smollm2-135m-h100")}
    rows = [row.label or make_recipe({**row.train, "data": "."}).method.title for row in spec.rows]
    assert set(runs) == {"Teacher", *rows}
    for run in runs.values():
        assert set(run.results) == set(spec.tasks)
        assert run.record["status"] == "complete"
        for result in run.results.values():
            rouge = result.metrics["rougeL"]
            assert (rouge.n, len(rouge.per_seed)) == (50, 5)


def test_the_verdicts_of_the_leaderboard_are_those_of_compare() -> None:
    lines = re.findall(r"^- (AVG|acceptance@student) against (\w+): ([^.]+)\.", LEADERBOARD, re.M)
    assert len(lines) == 3
    for column, base, verdicts in lines:
        for named_verdict in verdicts.split(","):
            new, verdict = named_verdict.split()
            metric = "rougeL" if column == "AVG" else column
            comparison = kdbench.compare(
                base=base,
                new=new,
                results=ROOT / "results" / "smollm2-135m-h100",
                tolerance="rougeL:0.5,acceptance@student:0.01",
            )
            rows = {(row.task, row.metric): row.verdict for row in comparison.rows}
            assert len(rows) == 12
            assert rows["AVG", metric] == verdict


def test_check_prints_the_diff_of_a_stale_table(tmp_path: Path) -> None:
    copy = tmp_path / "leaderboard.md"
    copy.write_text(LEADERBOARD.replace("| 500 | 242 |", "| 500 | 252 |"), encoding="utf-8")
    (drawn,) = re.findall(
        r"`kdbench (table [^`]*settings=[^`]*out=)docs/leaderboard\.md`", LEADERBOARD
    )
    command = [sys.executable, "-m", "kdbench", *f"{drawn}{copy} --check".split()]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert re.search(r"^-\| prompts .* 252 .*\n\+\| prompts .* 242 ", done.stdout, re.M)
    assert "252" in copy.read_text(encoding="utf-8")


def test_ci_runs_the_commands_of_the_readme() -> None:
    shown = re.sub(r"<details>.*?</details>", "", README, flags=re.S).splitlines()
    first = shown.index(". .venv/bin/activate")
    assert shown[first + 1].startswith("kdbench eval runs/demo/student")
    assert first < 60  # a reader reaches a command of their own within sixty seconds
    for name in ("demo", "test"):
        (command,) = re.findall(rf"<!-- readme:{name} -->\n```sh\n(.*)\n```", README)
        assert command.startswith("python3 -m venv .venv && .venv/bin/pip install -c constraints")
    assert "for name in test demo" in (ROOT / ".ci" / "run").read_text()


def test_the_python_functions_of_the_readme_exist() -> None:
    for name in set(re.findall(r"kdbench\.(\w+)\(", README)):
        assert callable(getattr(kdbench, name))
    assert {"evaluate", "table"} <= set(re.findall(r"kdbench\.(\w+)\(", README))


def test_no_imported_module_replaces_a_public_function() -> None:
    import kdbench.evaluation
    import kdbench.measuring.scoring
    import kdbench.tables

    assert all(callable(getattr(kdbench, name)) for name in ("evaluate", "score", "table"))


def test_the_picture_is_drawn_from_the_committed_results() -> None:
    module = docs_script("images/quality_fidelity.py")
    description = module.description(module.rows())
    for theme in ("light", "dark"):
        picture = (IMAGES / f"quality-fidelity-{theme}.svg").read_text(encoding="utf-8")
        assert f"<dc:description>{description}</dc:description>" in picture
