"""Stages: each has its own states, and a killed run ends in the same bytes."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import kdbench
from kdbench.distillation.stages import StageRun
from kdbench.methods import Method, methods
from kdbench.toy.models import World
from kdbench.training import CrossEntropy, FromTeacher, Match, Stage, Triple
from kdbench.training.stage import check_stages, steps_of

EXAMPLES = Path(__file__).parents[1] / "training" / "examples"
FEW: dict[str, Any] = {
    "steps": 6,
    "batch_size": 4,
    "limit": 16,
    "learning_rate": 1e-2,
    "max_new_tokens": 4,
    "validation_limit": 2,
    "validate_every": 2,
    "log_every": 2,
    "save_every": 1,
    "device": "cpu",
    "precision": "float32",
    "plugins": EXAMPLES / "generations.py",
}


def train(world: World, out: Path, **settings: Any) -> Any:
    both = {"student": str(world.student), "teacher": str(world.teacher), "data": world.data}
    return kdbench.train(**{**FEW, "method": "generations", **both, "out": out, **settings})


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "training.jsonl").read_text().splitlines()]


def weights(folder: Path) -> bytes:
    return (folder / "model.safetensors").read_bytes()


@pytest.fixture(scope="module")
def undisturbed(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("undisturbed") / "out"
    train(world, out)
    return out


def assert_same(one: Path, two: Path) -> None:
    assert weights(one) == weights(two)
    assert lines(one) == lines(two)
    cards = [json.loads((folder / "kdbench.json").read_text()) for folder in (one, two)]
    for card in cards:
        for stage in card["stages"]:
            stage["phases"] = sorted(stage["phases"])
    for key in ("stages", "steps", "selected", "validations", "prompts", "weights"):
        assert cards[0][key] == cards[1][key]


def test_each_generation_learns_from_the_one_before(undisturbed: Path, world: World) -> None:
    card = json.loads((undisturbed / "kdbench.json").read_text())
    first, second = card["stages"]
    assert (first["name"], first["teacher"], first["student"]) == ("generation 1", "given", "keep")
    assert (second["teacher"], second["student"]) == ("last student", "initial")
    assert first["steps"] == second["steps"] == 3
    assert card["steps"] == 6
    assert card["phases"]["train"]["tokens"] == sum(
        stage["phases"]["train"]["tokens"] for stage in card["stages"]
    )
    assert [one["step"] for one in first["validations"]] == [0, 2, 3]
    assert [one["step"] for one in second["validations"]] == [3, 5, 6]
    assert second["validations"][0]["loss"] == first["validations"][0]["loss"]  # starts again
    assert card["validations"] == first["validations"] + second["validations"]
    assert card["selected"] == second["selected"]
    assert second["triple"]["objective"] == "0.5 cross_entropy + 0.5 forward_kl"
    log = lines(undisturbed)
    assert {line["stage"] for line in log} == {"generation 1", "generation 2"}
    assert [line["step"] for line in log] == sorted(line["step"] for line in log)
    rates = [line["learning_rate"] for line in log if "learning_rate" in line]
    assert rates[0] == rates[len(rates) // 2] == FEW["learning_rate"]  # a schedule of its own
    assert not undisturbed.with_name("out.unfinished").exists()


def test_the_second_stage_is_a_run_with_the_first_student_as_teacher(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Against two commands of one stage each; only the order of the rows is another."""
    monkeypatch.setattr("kdbench.distillation.stages._seed", lambda seed, _: seed)
    settings = {"batch_size": 16, "kd_ratio": 1.0}
    train(world, tmp_path / "both", **settings)
    one = {"method": "kd", "steps": 3, "kd_ratio": 1.0, "batch_size": 16}
    train(world, tmp_path / "first", **one)
    train(world, tmp_path / "second", **one, teacher=str(tmp_path / "first"))
    assert weights(tmp_path / "both") == weights(tmp_path / "second")


class Kept(Method):
    """Fine-tuning, then distillation of the same student."""

    title = "Kept"
    paper = "none"
    cost = "none"

    def stages(self) -> list[Stage]:
        return [
            Stage(Triple(CrossEntropy()), share=1, teacher=None, name="fine-tuning"),
            Stage(Triple(Match(), source=FromTeacher()), share=2),
        ]


@pytest.fixture
def kept() -> Any:
    methods.register("kept")(Kept)
    yield "kept"
    methods._parts.pop("kept", None)


def test_a_kept_student_goes_on_from_the_best_of_the_stage_before(
    kept: str, world: World, tmp_path: Path
) -> None:
    card = train(world, tmp_path / "out", method=kept, select="loss", plugins=None).card
    first, second = card["stages"]
    assert [first["steps"], second["steps"]] == [2, 4]
    assert [first["teacher"], second["teacher"]] == [None, "given"]
    assert second["validations"][0]["loss"] == pytest.approx(first["selected"]["loss"], abs=1e-6)
    assert second["phases"]["teacher_responses"]["tokens"] > 0
    assert "teacher_responses" not in first["phases"]


def interrupt(monkeypatch: pytest.MonkeyPatch, calls: int) -> None:
    """Interrupt in the training step of this number, counted over all stages."""
    from kdbench.training.trainer import DistillationTrainer

    step, done = DistillationTrainer.training_step, []

    def stop(self: Any, *arguments: Any) -> Any:
        done.append(1)
        if len(done) > calls:
            raise KeyboardInterrupt
        return step(self, *arguments)

    monkeypatch.setattr(DistillationTrainer, "training_step", stop)


@pytest.mark.parametrize("calls", [2, 4])
def test_interrupted_in_any_stage_it_ends_in_the_same_bytes(
    calls: int, undisturbed: Path, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupt(monkeypatch, calls)
    with pytest.raises(KeyboardInterrupt):
        train(world, tmp_path / "out")
    monkeypatch.undo()
    assert train(world, tmp_path / "out").steps == 6 - calls
    assert_same(undisturbed, tmp_path / "out")


@pytest.mark.parametrize("place", ["put_text", "_remove_states"])
def test_interrupted_between_two_stages_it_ends_in_the_same_bytes(
    place: str, undisturbed: Path, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    if place == "_remove_states":
        monkeypatch.setattr(StageRun, place, stop)
    else:
        monkeypatch.setattr(f"kdbench.distillation.stages.{place}", stop)
    with pytest.raises(KeyboardInterrupt):
        train(world, tmp_path / "out")
    monkeypatch.undo()
    assert train(world, tmp_path / "out").steps == 3
    assert_same(undisturbed, tmp_path / "out")


def test_killed_in_the_second_stage_it_ends_in_the_same_bytes(
    undisturbed: Path, world: World, tmp_path: Path
) -> None:
    settings = {**FEW, "student": world.student, "teacher": world.teacher, "data": world.data}
    words = [f"{key}={value}" for key, value in settings.items()]
    words += ["method=generations", f"out={tmp_path / 'out'}"]
    process = subprocess.Popen(
        [sys.executable, "-m", "kdbench", "train", *words],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    second = tmp_path / "out.unfinished" / "stage-2"
    while process.poll() is None and not any(second.glob("checkpoint-*/kdbench_state.json")):
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert train(world, tmp_path / "out").steps < 3
    assert_same(undisturbed, tmp_path / "out")


def test_a_damaged_student_of_a_finished_stage_is_refused(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupt(monkeypatch, 4)
    with pytest.raises(KeyboardInterrupt):
        train(world, tmp_path / "out")
    monkeypatch.undo()
    file = tmp_path / "out.unfinished" / "stage-1" / "student" / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-4] + bytes(4))
    with pytest.raises(kdbench.InputError, match=r"stage-1/student/model\.safetensors: missing"):
        train(world, tmp_path / "out")
    with pytest.raises(kdbench.InputError, match="was made with a different kd_ratio"):
        train(world, tmp_path / "out", kd_ratio=0.25)


def test_a_run_of_one_stage_has_the_card_and_log_of_today(world: World, tmp_path: Path) -> None:
    train(world, tmp_path / "out", method="kd", steps=2, kd_ratio=1.0)
    assert all("stage" not in line for line in lines(tmp_path / "out"))
    card = json.loads((tmp_path / "out" / "kdbench.json").read_text())
    assert "stages" not in card
    assert card["triple"] == Triple(Match()).describe()


def test_the_plan_shows_the_stages(world: World, tmp_path: Path) -> None:
    from kdbench.distillation.dry_run import plan_training
    from kdbench.distillation.recipe import make_recipe

    both = {"student": str(world.student), "teacher": str(world.teacher), "data": world.data}
    values = {**FEW, **both, "method": "generations", "out": tmp_path / "out"}
    sections = {section.title: section for section in plan_training(make_recipe(values))}
    facts = {fact.name: fact.value for fact in sections["Stage 2: generation 2"].facts}
    assert facts["steps"] == "4 to 6"
    assert facts["learns"] == "the student, from the last student"
    assert not list(tmp_path.iterdir())


KD = Triple(Match())
FAULTS: list[tuple[list[Stage], str]] = [
    ([], "no stage"),
    ([Stage(KD, teacher="last student")], "no stage before the first"),
    ([Stage(KD, teacher=None)], "stage 1: teacher=None"),
    ([Stage(KD, name="a"), Stage(KD, name="a")], "two stages are called 'a'"),
    ([Stage(KD, share=0)], "share=0: must be above 0"),
    ([Stage(KD, share=float("nan"))], "share=nan"),
]


@pytest.mark.parametrize(("stages", "line"), FAULTS)
def test_stages_without_a_meaning_are_refused(stages: list[Stage], line: str) -> None:
    with pytest.raises(kdbench.InputError, match=line) as error:
        check_stages(stages)
    assert "\n" not in str(error.value)


def test_the_steps_of_the_stages_add_up() -> None:
    stages = [Stage(KD, share=share) for share in (1, 1, 1)]
    assert steps_of(stages, 10) == [3, 4, 3]
    assert steps_of([Stage(KD, share=0.3), Stage(KD, share=0.1)], 8) == [6, 2]
    with pytest.raises(kdbench.InputError, match="steps=2: too few for 3 stages"):
        steps_of(stages, 2)
