"""States on disk: a damaged one is never resumed, and a killed run leaves no trace in the log."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import kdbench
from kdbench.toy.models import World
from kdbench.training.state import check_resumable, last_checkpoint

FEW: dict[str, Any] = {
    "steps": 6,
    "batch_size": 4,
    "limit": 16,
    "learning_rate": 1e-2,
    "max_new_tokens": 6,
    "validation_limit": 2,
    "validate_every": 3,
    "log_every": 4,
    "save_every": 1,
    "device": "cpu",
    "precision": "float32",
}


def train(world: World, out: Path, **settings: Any) -> Any:
    both = {"student": str(world.student), "teacher": str(world.teacher), "data": world.data}
    return kdbench.train(**{**FEW, "method": "kd", **both, "out": out, **settings})


def interrupt(monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    """Interrupt in the step after this one, when a state of this one is on disk."""
    from kdbench.training.trainer import DistillationTrainer

    step = DistillationTrainer.training_step

    def stop(self: Any, *arguments: Any) -> Any:
        if self.state.global_step >= after:
            raise KeyboardInterrupt
        return step(self, *arguments)

    monkeypatch.setattr(DistillationTrainer, "training_step", stop)


@pytest.fixture(scope="module")
def half_way(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was interrupted after its second step."""
    folder = tmp_path_factory.mktemp("half_way")
    with pytest.MonkeyPatch.context() as monkeypatch:
        interrupt(monkeypatch, 2)
        with pytest.raises(KeyboardInterrupt):
            train(world, folder / "out")
    return folder


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def zero_tail(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-10] + bytes(10))


def empty(file: Path) -> None:
    file.write_bytes(b"")


STATE = "checkpoint-2"
DAMAGES: list[tuple[str, Callable[[Path], object]]] = [
    *[
        (f"{STATE}/{name}", damage)
        for name in ("kdbench_state.json", "process_0.json", "trainer_state.json", "config.json")
        for damage in (cut, empty, zero_tail)
    ],
    *[
        (f"{STATE}/{name}", damage)
        for name in ("optimizer.pt", "scheduler.pt", "model.safetensors", "rng_state.pth")
        for damage in (cut, zero_tail, Path.unlink)
    ],
    (f"{STATE}/kdbench_state.json", lambda file: file.write_text("[1]")),
    (f"{STATE}/kdbench_state.json", lambda file: file.write_text("[" * 10_000)),
    (STATE, lambda folder: folder.rename(folder.with_name("checkpoint-999"))),
]


@pytest.mark.parametrize(("name", "damage"), DAMAGES)
def test_a_damaged_state_is_refused_in_a_line(
    name: str, damage: Callable[[Path], object], half_way: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "out.unfinished"
    shutil.copytree(half_way / "out.unfinished", folder)
    damage(folder / name)
    with pytest.raises(kdbench.InputError, match="to train again from the start") as error:
        last_checkpoint(folder)
    assert "\n" not in str(error.value)
    assert name.rpartition("/")[2].replace(STATE, "checkpoint-999") in str(error.value)


IDENTITIES: list[Callable[[Path], object]] = [
    cut,
    empty,
    Path.unlink,
    lambda file: file.write_text("[1]"),
]


@pytest.mark.parametrize("damage", IDENTITIES)
def test_a_state_without_its_identity_is_refused(
    damage: Callable[[Path], object], half_way: Path, world: World, tmp_path: Path
) -> None:
    folder = tmp_path / "out.unfinished"
    shutil.copytree(half_way / "out.unfinished", folder)
    damage(folder / "identity.json")
    with pytest.raises(kdbench.InputError, match=r"identity\.json: .* to train again"):
        train(world, tmp_path / "out")


def test_a_run_with_a_damaged_state_stays_as_it_is(
    half_way: Path, world: World, tmp_path: Path
) -> None:
    folder = tmp_path / "out.unfinished"
    shutil.copytree(half_way / "out.unfinished", folder)
    zero_tail(folder / STATE / "optimizer.pt")
    with pytest.raises(kdbench.InputError, match=r"optimizer\.pt: missing or damaged; delete"):
        train(world, tmp_path / "out")
    assert (folder / STATE / "optimizer.pt").is_file()


def test_an_older_whole_state_is_resumed(half_way: Path, world: World, tmp_path: Path) -> None:
    folder = tmp_path / "out.unfinished"
    shutil.copytree(half_way / "out.unfinished", folder)
    shutil.copytree(folder / STATE, folder / "checkpoint-5")  # its state is that of step 2
    shutil.copytree(folder / STATE, folder / "checkpoint-٣")
    assert train(world, tmp_path / "out").steps == 4


@pytest.mark.parametrize("damage", [cut, zero_tail, Path.unlink])
def test_a_finished_checkpoint_without_whole_weights_is_not_trained(
    damage: Callable[[Path], object], world: World, tmp_path: Path
) -> None:
    train(world, tmp_path / "out", steps=1)
    damage(tmp_path / "out" / "model.safetensors")
    with pytest.raises(kdbench.InputError, match=r"model\.safetensors: missing or damaged"):
        train(world, tmp_path / "out", steps=1)


@pytest.mark.parametrize(
    ("key", "value"),
    [("validations", []), ("selected", None), ("training", "x"), ("phases", {"train": 1})],
)
def test_a_card_of_another_form_is_named(
    key: str, value: object, world: World, tmp_path: Path
) -> None:
    card = train(world, tmp_path / "out", steps=1).card
    (tmp_path / "out" / "kdbench.json").write_text(json.dumps({**card, key: value}))
    with pytest.raises(kdbench.InputError, match=f"kdbench.json: damaged: '{key}"):
        train(world, tmp_path / "out", steps=1)


def test_a_card_made_before_a_key_existed_is_that_of_its_default(
    world: World, tmp_path: Path
) -> None:
    card = train(world, tmp_path / "out", steps=1, method="rkl").card
    for part, key in (("settings", "add_bos"), ("parameters", "student_fraction")):
        del card["training"][part][key]
    (tmp_path / "out" / "kdbench.json").write_text(json.dumps(card))
    assert train(world, tmp_path / "out", steps=1, method="rkl").steps == 0
    with pytest.raises(kdbench.InputError, match=r"student_fraction \(was 0\.0, is 1\.0\)"):
        train(world, tmp_path / "out", steps=1, method="rkl", student_fraction=1)


def log_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "training.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("stop", [2, 5])
def test_the_log_of_an_interrupted_run_is_that_of_an_undisturbed_one(
    stop: int, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between two lines of the log, too: the sums are part of the state."""
    interrupt(monkeypatch, stop)
    with pytest.raises(KeyboardInterrupt):
        train(world, tmp_path / "two")
    monkeypatch.undo()
    train(world, tmp_path / "two")
    train(world, tmp_path / "one")
    one, two = (tmp_path / name / "training.jsonl" for name in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()
    summary = log_of(tmp_path / "one")[-1]
    assert set(summary) == {"train_loss", "epoch", "step"}


def test_killed_before_it_is_put_in_place_the_log_has_its_summary(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("kdbench.distillation.train._finish", killed)
    with pytest.raises(KeyboardInterrupt):
        train(world, tmp_path / "two")
    monkeypatch.undo()
    assert train(world, tmp_path / "two").steps == 0
    train(world, tmp_path / "one")
    assert log_of(tmp_path / "one") == log_of(tmp_path / "two")


def test_killed_at_any_moment_files_and_log_are_those_of_an_undisturbed_run(
    world: World, tmp_path: Path
) -> None:
    settings = {**FEW, "steps": 24, "method": "minillm", "rollout_batches": 2, "passes": 2}
    words = [f"{key}={value}" for key, value in settings.items()]
    words += [f"student={world.student}", f"teacher={world.teacher}", f"data={world.data}"]
    unfinished = tmp_path / "two.unfinished"
    for delay in (0.0, 0.02, 0.1):
        process = subprocess.Popen(
            [sys.executable, "-m", "kdbench", "train", f"out={tmp_path / 'two'}", *words],
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stderr=subprocess.DEVNULL,
        )
        before = set(unfinished.glob("checkpoint-*/kdbench_state.json"))
        while process.poll() is None:
            if set(unfinished.glob("checkpoint-*/kdbench_state.json")) - before:
                break
            time.sleep(0.005)
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        process.wait()
    train(world, tmp_path / "one", **settings)
    train(world, tmp_path / "two", **settings)
    assert log_of(tmp_path / "one") == log_of(tmp_path / "two")
    ours, theirs = (tmp_path / name / "model.safetensors" for name in ("one", "two"))
    assert ours.read_bytes() == theirs.read_bytes()
    cards = [json.loads((tmp_path / name / "kdbench.json").read_text()) for name in ("one", "two")]
    assert cards[0]["prompts"] == cards[1]["prompts"]
    assert 0 < cards[0]["prompts"]["used"] <= cards[0]["prompts"]["of"] == 16


@pytest.mark.parametrize(
    ("processes", "kind", "message"),
    [
        (1, "NO", None),
        (2, "NO", "saved by 1 processes; resume with 1, not 2"),
        (1, "FSDP", "saved with whole students; resume with that, not with FSDP2"),
    ],
)
def test_a_state_belongs_to_its_processes(
    half_way: Path, processes: int, kind: str, message: str | None
) -> None:
    from accelerate.utils import DistributedType

    accelerator = SimpleNamespace(
        num_processes=processes, distributed_type=getattr(DistributedType, kind)
    )
    checkpoint = last_checkpoint(half_way / "out.unfinished")
    assert checkpoint is not None
    if message is None:
        check_resumable(checkpoint, accelerator)
    else:
        with pytest.raises(kdbench.InputError, match=message):
            check_resumable(checkpoint, accelerator)
