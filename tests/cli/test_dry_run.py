"""`--dry-run` shows what would be asked and done; it loads no weights and writes nothing."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from lm_eval_tasks import write_tasks
from outcomes import Outcome, contents, run, unsafe
from rich.cells import cell_len
from tiny_world import make_tiny_world
from transformers import AutoTokenizer

import kdbench
from kdbench.distillation.ingredients import Ingredients
from kdbench.distillation.recipe import make_recipe
from kdbench.errors import InputError
from kdbench.system.bundled import load_module
from kdbench.toy.models import World

WIDTH = 80


@pytest.fixture(autouse=True)
def _no_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("weights were loaded")

    for name in ("AutoModelForCausalLM", "PreTrainedModel"):
        monkeypatch.setattr(f"transformers.{name}.from_pretrained", refuse)
    monkeypatch.setattr("safetensors.torch.load_file", refuse)


def rows_of(world: World, split: str) -> list[dict[str, Any]]:
    """The rows of the toy world's Dolly."""
    text = (world.data / "dolly" / f"{split}.jsonl").read_text("utf-8")
    return [json.loads(line) for line in text.splitlines()]


def dry(line: str, folder: Path, code: int = 0) -> Outcome:
    """Run a verb in a folder as a dry run, and check that it wrote nothing."""
    before = contents(folder)
    outcome = run([*line.split(), "--dry-run"])
    assert outcome.error is None
    assert outcome.code == code, outcome.err
    assert contents(folder) == before
    assert not any(folder.rglob("*.lock"))
    assert not unsafe(outcome.out)
    assert max(map(cell_len, outcome.out.splitlines()), default=0) <= WIDTH
    return outcome


def facts(text: str, name: str) -> list[str]:
    """The values of a fact, each on one line."""
    found = re.findall(rf"^  {re.escape(name)} +(.*(?:\n {{10,}}.*)*)", text, re.MULTILINE)
    return [" ".join(value.split()) for value in found]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_eval_shows_the_first_two_prompts_and_what_was_cut(world: World, place: Path) -> None:
    line = f"eval model={world.student} data={world.data} tasks=dolly limit=5 seeds=1,2 device=cpu"
    text = dry(f"{line} max_prompt_tokens=9 max_new_tokens=7", place).out
    rows = rows_of(world, "test")[:2]
    tokenizer = AutoTokenizer.from_pretrained(world.student)
    assert facts(text, "samples") == ["10 to generate, 0 of 10 stored; 5 documents × 2 seeds"]
    assert [value.split()[-1] for value in facts(text, "prompt 1")] == [rows[0]["id"]]
    assert len(facts(text, "ids")) == 2
    for row, ids in zip(rows, facts(text, "ids"), strict=True):
        shown = tokenizer.decode([int(token) for token in ids.split()])
        assert len(ids.split()) <= 9
        assert shown.startswith("Below is an instruction")
        assert row["output"][0] in text
    assert facts(text, "given")[0].startswith(f"model={str(world.student)[:20]}")
    assert facts(text, "cut")[0].startswith("4 of 5 prompts, on the right at 9 tokens")
    assert len(facts(text, "cut off")) == 2
    assert facts(text, "BOS") == ["none; the tokenizer's is '<|bos|>'"] * 2
    assert facts(text, "time")[0].startswith("unknown until the first batch")
    assert facts(text, "backend") == ["hf, float32 on cpu, batch_size=auto"]


def test_a_task_with_options_shows_its_options(world: World, place: Path) -> None:
    folder = write_tasks(place / "yaml")
    line = f"eval model={world.student} device=cpu protocol=greedy limit=4 tasks="
    text = dry(f"{line}{folder / 'choice.yaml'}", place).out
    assert facts(text, "options") == ["those of 4 documents to measure, 0 of 4 stored"]
    assert facts(text, "cut")[0].startswith("1 of 4 documents, on the left at the model's 512")
    assert "Where does Olga 0 live?" in text
    assert "option 1, right\n    │  Rome\n  option 2\n    │  Paris\n" in text
    tokenizer = AutoTokenizer.from_pretrained(world.student)
    ids = [int(token) for token in facts(text, "ids")[0].split()]
    assert tokenizer.decode(ids) == "Where does Olga 0 live?  Rome"
    assert "seeds" not in text.partition("Model: choice")[2]
    text = dry(f"{line}{folder / 'rolling.yaml'}", place).out
    assert "Olga is a nurse of Rome 0." in text
    assert "option 1" not in text


def test_a_chat_prompt_shows_its_turns(world: World, place: Path) -> None:
    line = f"eval model={world.student} data={world.data} tasks=dolly limit=1 device=cpu"
    text = dry(f"{line} protocol=chat", place).out
    ids = [int(token) for token in facts(text, "ids")[0].split()]
    tokenizer = AutoTokenizer.from_pretrained(world.student)
    first, last = map(int, re.findall(r"user = tokens (\d+) to (\d+)", text)[0])
    row = rows_of(world, "test")[0]
    said = f"{row['instruction']}\n\n{row['input']}".strip()
    assert tokenizer.decode(ids[first : last + 1]).strip() == said
    assert f"the answer begins at token {len(ids)}" in " ".join(text.split())


def test_a_template_that_the_protocol_does_not_use_is_noted(world: World, place: Path) -> None:
    model = place / "chatty"
    shutil.copytree(world.student, model)
    (model / "chat_template.jinja").write_text("{% for m in messages %}{{ m.content }}{% endfor %}")
    line = f"eval model={model} data={world.data} tasks=dolly limit=1 device=cpu max_new_tokens=7"
    assert "protocol=chat asks as in its training" in dry(line, place).err


def test_a_task_with_options_shows_them(world: World, place: Path) -> None:
    text = dry(f"eval model={world.student} tasks=skills_kinds limit=2 device=cpu", place).out
    line = "none: 8 given texts are scored by likelihood (multiple_choice)"
    assert facts(text, "samples") == [line]
    assert "kinds-" in facts(text, "prompt 1")[0]
    assert text.count(", right") == 2
    text = dry(f"eval model={world.student} tasks=skills_last_word limit=1 device=cpu", place).out
    assert "  scored text\n    │  spring\n" in text


def test_speed_shows_its_loads(world: World, place: Path) -> None:
    line = f"speed model={world.student} prompt_tokens=8 new_tokens=4 concurrency=1,2 device=cpu"
    text = dry(line, place).out
    assert "Requests at a time: 1" in text
    assert "Requests at a time: 2" in text
    assert all("(to be timed)" in stored for stored in facts(text, "stored in"))


def test_a_judge_is_not_asked(world: World, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = rows_of(world, "test")[:2]
    lines = [json.dumps({"id": row["id"], "output": "a", "seed": 1}) for row in rows]
    (place / "texts.jsonl").write_text("\n".join(lines))
    kdbench.score(samples=place / "texts.jsonl", task="dolly", data=world.data, limit=2)
    for lock in place.rglob("*.lock"):
        lock.unlink()
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    text = dry(f"judge texts judge=openai:nobody data={world.data}", place).out
    assert facts(text, "questions") == ["2 to ask, 0 of 2 judged before; 2 documents × 1 seed"]
    assert facts(text, "judge") == ["nobody"]


def test_a_teacher_and_a_floor_are_shown_without_their_prompts(world: World, place: Path) -> None:
    line = f"eval model={world.student} teacher={world.teacher} undistilled={world.student}"
    text = dry(f"{line} data={world.data} tasks=dolly limit=2 seeds=1 device=cpu", place).out
    titles = [line for line in text.splitlines() if line and not line.startswith(" ")]
    assert titles[1:] == [
        "Model",
        "Model: dolly",
        *["Teacher", "Teacher: dolly"] * 2,  # a second seed, as the first has the student's noise
        "Undistilled",
        "Undistilled: dolly",
    ]
    assert text.count("  prompt 1") == 1
    assert "acceptance@student" in text


def test_train_shows_rows_the_loss_and_the_steps(world: World, place: Path) -> None:
    line = f"train method=gkd student={world.student} teacher={world.teacher} data={world.data}"
    text = dry(
        f"{line} limit=70 batch_size=32 epochs=2 device=cpu max_length=60 max_prompt_tokens=50",
        place,
    ).out
    assert facts(text, "steps") == ["6 of 32 examples: 2.74 epochs"]
    assert facts(text, "out") == ["runs/gkd (new)"]
    rows = rows_of(world, "train")[:2]
    tokenizer = AutoTokenizer.from_pretrained(world.student)
    ids = [[int(token) for token in value.split()] for value in facts(text, "ids")]
    for row, response in zip(rows, ids[1::2], strict=True):
        assert tokenizer.decode(response, skip_special_tokens=True) == row["output"][0]
        assert response[-1] == tokenizer.eos_token_id
    assert facts(text, "response") == [f"{len(r)} tokens, all in the loss" for r in ids[1::2]]
    assert facts(text, "prompt") == [f"{len(p)} tokens, not in the loss" for p in ids[::2]]


def task_prompt(row: dict[str, object]) -> str:
    return str(load_module("tasks/instruction.py").doc_to_text(row))


def test_train_shows_what_was_cut_of_a_prompt(world: World, place: Path) -> None:
    line = f"train method=sft student={world.student} data={world.data} limit=3 device=cpu"
    text = dry(f"{line} max_prompt_tokens=9 max_length=12 long_prompts=cut", place).out
    tokenizer = AutoTokenizer.from_pretrained(world.student)
    row = rows_of(world, "train")[0]
    whole = tokenizer(task_prompt(row), add_special_tokens=False)["input_ids"]
    ids = [int(token) for token in facts(text, "ids")[0].split()]
    assert ids == whole[:9]
    assert facts(text, "cut off")[0] == f"{len(whole) - 9} tokens of the prompt, on the right:"
    longer = sum(
        len(tokenizer(task_prompt(row), add_special_tokens=False)["input_ids"]) > 9
        for row in rows_of(world, "train")[:3]
    )
    assert f"{longer} prompts and" in facts(text, "train")[0]


def test_an_engine_without_scores_is_refused(world: World, place: Path) -> None:
    line = f"eval model={world.student} teacher={world.teacher} teacher_scores=engine"
    refused = dry(f"{line} data={world.data} tasks=dolly limit=2 seeds=1 device=cpu", place, code=2)
    assert "teacher_scores=engine: backend=hf does not report" in refused.err


def test_train_names_a_finished_run_and_refuses_another(world: World, place: Path) -> None:
    (place / "runs" / "sft").mkdir(parents=True)
    line = f"train method=sft student={world.student} data={world.data} limit=4 device=cpu"
    assert "not a checkpoint of kdbench train" in dry(line, place, code=2).err


def test_texts_too_long_for_a_model_are_refused(world: World, place: Path) -> None:
    line = f"data={world.data} limit=4 device=cpu max_new_tokens=600"
    student = f"model={world.student} tasks=dolly"
    assert "do not fit into the model's" in dry(f"eval {student} {line}", place, code=2).err
    method = f"train method=gkd student={world.student} teacher={world.teacher}"
    assert "do not fit into the student's" in dry(f"{method} {line}", place, code=2).err


# Verbs that need no model, and what they show.
TINY = {
    "score samples=one.jsonl task=dolly data=data": ["4 to score, seeds 1,2", "red a 1"],
    "score run={one} data=data": ["4 to score, seeds 1,2", "red a 1"],
    "compare {one} {two} data=data": ["2 prompts in common", "rougeL:0.5"],
    "compare one two json=c.json": ["c.json"],
    "regress run={two} baseline=g gates=gates": ["2 prompts in common"],
    "regress run={two} baseline=h gates=gates --update reason=x": ["gates/h.json"],
    "table results=results published=none out=t.md": ["t.md, which changes", "measured, one/"],
    "table results=results published=none": ["nothing: the terminal form"],
    "report results=results": ["none: no student was compared", "report/index.html, static/"],
    "fill table.yaml": ["missing   evaluate Teacher", "train SFT"],
    "fill table.yaml --plan": ["missing   evaluate Teacher", "train SFT"],
    "demo out=demo results=filled": ["toy teacher: to be made", "toy/gkd"],
}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_world(tmp_path_factory.mktemp("tiny"), with_echo=False).folder


@pytest.mark.parametrize(("line", "parts"), TINY.items())
def test_verbs_without_a_model(
    line: str, parts: list[str], tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tiny)
    for name in ("one", "two"):
        (file,) = tiny.glob(f"results/{name}/*/run.json")
        line = line.replace("{" + name + "}", str(file.parent.relative_to(tiny)))
    before = contents(tiny)
    outcome = run([*line.split(), "--dry-run"])
    assert outcome.code == 0, outcome.err
    assert contents(tiny) == before
    for part in parts:
        assert part in " ".join(outcome.out.split()) or part in outcome.out


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("score samples=one.jsonl task=dolly data=data limit=1", "has no document 'b'"),
        ("compare one nobody", "new=nobody"),
        ("compare one two tasks=vicuna", "has no such task"),
        ("regress run=nowhere baseline=g gates=gates", "nowhere"),
        ("table results=nowhere published=none", "no result"),
        ("table results=results published=none out=t.pdf", "ending 'pdf'"),
        ("report results=results tasks=nothing", "tasks=nothing"),
        ("fill nowhere", "unknown table"),
        ("fill table.yaml evaluate.dry_run=true", "'dry_run' is set by the table"),
        ("fill table.yaml train.dry_run=true", "'dry_run' is set by the table"),
        ("eval model=student data=data tasks=dolly dry_run=maybe", "dry_run=maybe"),
        ("eval model=student data=data tasks=dolly", "student"),
        ("eval model=student judge=nowhere data=data tasks=dolly", "judge=nowhere: no such folder"),
    ],
)
def test_bad_input_is_refused(
    line: str, message: str, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tiny)
    before = contents(tiny)
    outcome = run([*line.split(), "--dry-run"] if "dry_run" not in line else line.split())
    assert outcome.code == 2
    assert message in outcome.err
    assert outcome.err.count("\n") == 1
    assert contents(tiny) == before


def test_a_dry_run_is_no_part_of_a_run(world: World) -> None:
    keys = {"method": "sft", "student": str(world.student), "data": world.data, "limit": 4}
    identities = [
        Ingredients(make_recipe({**keys, "device": "cpu", "dry_run": dry_run})).identity
        for dry_run in (False, True)
    ]
    assert identities[0] == identities[1]
    assert "dry_run" not in json.dumps(identities)


def test_a_function_refuses_a_dry_run() -> None:
    with pytest.raises(InputError, match="dry_run= is for the command line"):
        kdbench.evaluate(model="m", dry_run=True)
    with pytest.raises(InputError, match="dry_run= is for the command line"):
        kdbench.table(dry_run=True)
