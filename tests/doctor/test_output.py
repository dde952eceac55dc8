"""What the verb prints and writes, its exit codes, and the list of checks."""

import json
import re
import sys
from pathlib import Path

import pytest
from checkpoints import change_json
from typer.testing import CliRunner
from ward import Ward, diagnose

from kdbench.cli.verbs import app
from kdbench.doctor.check import checks
from kdbench.doctor.finding import CannotRunError, Finding
from kdbench.doctor.settings import read_doctor
from kdbench.errors import InputError

PAGE = Path(__file__).parents[2] / "docs" / "doctor.md"


def doctor(*words: object) -> tuple[int, str]:
    """The exit code and the output of the verb."""
    result = CliRunner().invoke(app, ["doctor", *map(str, words)])
    return result.exit_code, result.stdout + result.stderr


def test_findings_are_printed_with_reason_and_key(ward: Ward) -> None:
    change_json(ward.student / "generation_config.json", repetition_penalty=1.2)
    ward.edit_rows("dolly/test", lambda rows: [row | {"input": "cat " * 500} for row in rows])
    words = (f"model={ward.student}", f"data={ward.data}", "tasks=dolly", "weights=false")
    code, text = doctor(*words, "max_prompt_tokens=none", f"results={ward.out}")
    assert code == 1
    levels = re.findall(r"^(error|warning|note) +(\w+): ", text, re.M)
    assert levels == [("error", "prompts"), ("warning", "generation_defaults")]
    assert re.search(r"^    why: .+\n    fix: lower max_new_tokens= .+\n    rows: .+", text, re.M)
    assert "left out: finite, invariance, stopping" in text
    assert text.splitlines()[-1] == "1 error, 1 warning (14 checks made)"


def test_the_row_the_memory_and_the_json(ward: Ward, tmp_path: Path) -> None:
    words = ["train", "method=sft", f"student={ward.student}", f"data={ward.data}"]
    words += [f"out={ward.out}", "weights=false", "skip=overlap"]
    file = tmp_path / "findings.json"
    code, text = doctor(*words, "--show-row", "--show-memory", f"json={file}")
    assert code == 0
    assert text.splitlines()[-1].startswith("no findings (")
    content = json.loads(file.read_text())
    assert (content["of"], content["errors"], content["findings"]) == ("train", 0, [])
    assert "overlap" in content["left_out"]
    row = content["facts"]["loss_row"]
    weights = [
        int(line.split()[-1]) for line in text.splitlines() if re.match(r" +\d+ +\d+ ", line)
    ]
    assert sum(weights) == row["tokens_in_loss"]
    assert weights == [0] * row["prompt_tokens"] + [1] * row["tokens_in_loss"]
    assert "end token       1" in text
    assert "loss: cross_entropy, on responses of: dataset" in text
    assert re.search(r"^  AdamW's two moments +0\.9 MB$", text, re.M)
    code, text = doctor(*words, "json=-")
    assert json.loads(text)["checked"] == content["checked"]


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ([], "say what is planned"),
        (["config=keys.yaml"], "say what is planned"),
        (["eval", "model=nowhere"], "no such folder"),
        (["model=m", "skip=nonsense"], "unknown check 'nonsense'"),
        (["eval", "model=m", "show_row=true"], "use kdbench doctor train"),
        (["train", "method=gdk", "student=s"], "did you mean 'gkd'"),
        (["eval", "model=m", "taks=dolly"], "did you mean 'tasks'"),
        (["eval", "model=m", "weights"], "is not key=value"),
        (["model=m", "weights=maybe"], "weights=maybe"),
        (["train", "eval"], "recipe=eval: neither a bundled recipe nor a file"),
    ],
)
def test_a_wrong_command_is_one_line(words: list[str], reason: str) -> None:
    code, text = doctor(*words)
    assert code == 2
    assert len(text.splitlines()) == 1
    assert reason in text


def test_the_verb_is_told_by_its_keys() -> None:
    of, settings, others = read_doctor(["model=m", "method=GKD", "--weights=false"])
    assert (of, settings.weights, others) == ("eval", False, ["model=m", "method=GKD"])
    assert read_doctor(["recipe=toy/gkd"])[0] == "train"
    with pytest.raises(InputError, match="given twice"):
        read_doctor(["model=m", "weights=true", "weights=false"])


def test_what_the_command_refuses_is_an_error_once(ward: Ward) -> None:
    diagnosis = ward.eval("data=/nowhere", "weights=false")
    assert [name for name, _ in diagnosis.findings] == ["command"]
    assert diagnosis.not_run["prompts"] == "see the error of command"
    assert diagnosis.not_run["overlap"].endswith("there is no training set (*/train.jsonl)")
    diagnosis = ward.train("train_set=nothing", "weights=false")
    assert [name for name, _ in diagnosis.findings] == ["command"]
    assert {"overlap", "duplicates", "training_rows"} <= set(diagnosis.not_run)


def test_a_check_that_fails_is_named(ward: Ward, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_: object) -> None:
        raise KeyError("oops")

    def cannot(_: object) -> None:
        raise CannotRunError("there is no room")

    from dataclasses import replace

    for name, look in (("overlap", fails), ("disk", cannot)):
        monkeypatch.setitem(checks._parts, name, replace(checks.get(name), look=look))
    diagnosis = ward.eval("weights=false")
    assert diagnosis.findings == []
    assert diagnosis.not_run == {"overlap": "KeyError: 'oops'", "disk": "there is no room"}


def test_the_page_lists_every_check_once_in_the_order_of_the_stages() -> None:
    listed = re.findall(r"^\| `(\w+)` \| (both|eval|train) \| ", PAGE.read_text("utf-8"), re.M)
    stages = ("files", "tokens", "weights")
    known = [checks.get(name) for name in checks.names()]
    expected = [
        (check.name, "both" if len(check.of) == 2 else check.of[0])
        for stage in stages
        for check in known
        if check.stage == stage
    ]
    assert listed == expected
    assert f"{len(known)} checks" in (PAGE.parents[1] / "CHANGELOG.md").read_text("utf-8")


def test_the_example_of_the_page_is_a_check(
    ward: Ward, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    block = re.search(r"```python test (\S+)\n(.*?)```", PAGE.read_text("utf-8"), re.S)
    assert block
    file = tmp_path / block[1]
    file.parent.mkdir()
    file.write_text(block[2])
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(checks, "_parts", dict(checks._parts))
    module = __import__("kdbench_example_check.shouting", fromlist=["shouting"])
    assert checks.register("shouting")(module.shouting) is checks.get("shouting")
    ward.edit_rows(
        "dolly/train", lambda rows: [rows[0] | {"instruction": "SORT", "input": ""}, *rows[1:]]
    )
    diagnosis = ward.train("weights=false", "skip=overlap")
    assert [(name, f.level, len(f.rows)) for name, f in diagnosis.findings] == [
        ("shouting", "note", 1)
    ]
    sys.modules.pop("kdbench_example_check.shouting")


def test_many_rows_are_cut_in_text_and_whole_in_json() -> None:
    finding = Finding("note", "what", "why", "fix", tuple(map(str, range(30))))
    assert finding.rows_line().endswith("6, 7, … (22 more)")
    assert len(finding.as_dict("x")["rows"]) == 30


def test_files_are_looked_at_before_torch_is_imported(ward: Ward) -> None:
    import subprocess

    code = (
        "import sys\n"
        "from kdbench.doctor.settings import parse_doctor\n"
        "from kdbench.doctor.check import checks\n"
        f"patient, _ = parse_doctor(['eval', 'model={ward.student}', 'data={ward.data}'])\n"
        "for name in checks.names():\n"
        "    if checks.get(name).stage == 'files' and 'eval' in checks.get(name).of:\n"
        "        list(checks.get(name).look(patient))\n"
        "print('torch' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "False", done.stderr


def test_a_served_model_leaves_the_checks_of_data(ward: Ward) -> None:
    diagnosis = diagnose(
        "eval",
        "model=gpt",
        "backend=lm_eval:local-completions",
        "backend_options=base_url=http://127.0.0.1:9/v1/completions",
        f"data={ward.data}",
        "tasks=dolly",
        f"results={ward.out}",
    )
    assert diagnosis.findings == []
    assert diagnosis.not_run["model"].startswith("a server holds it")
