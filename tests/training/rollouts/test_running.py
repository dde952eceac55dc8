"""Training with an engine: as without one, with pushed weights, ahead of time, after a kill."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import scripted_engine
import torch
from safetensors.torch import load_file

import kdbench
from kdbench.errors import InputError
from kdbench.training.rollouts.engine import EngineSample
from kdbench.training.rollouts.running import check_samples

FEW = {
    "steps": 5,
    "batch_size": 4,
    "limit": 12,  # an epoch has three steps
    "learning_rate": 1e-2,
    "max_new_tokens": 8,
    "validation_limit": 4,
    "validation_samples": 2,
    "validate_every": 3,
    "log_every": 1,
    "device": "cpu",
    "precision": "float32",
    "select": "last",
}
ENGINE = {"rollout_backend": "scripted"}


@pytest.fixture(autouse=True)
def _nothing_was_asked() -> None:
    scripted_engine.EVENTS.clear()
    scripted_engine.WEIGHTS.clear()


def run(world, out: Path, **settings: object):
    both = {"student": str(world.student), "teacher": str(world.teacher), "data": world.data}
    chosen = {**FEW, "method": "gkd", "student_fraction": 1.0, **both, "out": out, **settings}
    if chosen["method"] != "gkd":
        chosen.pop("student_fraction")
    return kdbench.train(**chosen)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def log_of(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "training.jsonl").read_text().splitlines()]


def column(folder: Path, name: str) -> list[float]:
    return [line[name] for line in log_of(folder) if "loss" in line and name in line]


def same_weights(first: Path, other: Path) -> bool:
    ours, theirs = weights(first), weights(other)
    return all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.fixture(scope="module")
def hf(world, tmp_path_factory):
    return run(world, tmp_path_factory.mktemp("hf") / "run")


def test_an_engine_with_the_students_weights_changes_nothing(world, tmp_path, hf) -> None:
    trained = run(world, tmp_path / "run", **ENGINE)
    assert same_weights(trained.checkpoint, hf.checkpoint)
    assert column(trained.checkpoint, "loss") == column(hf.checkpoint, "loss")
    assert max(column(trained.checkpoint, "rollouts/gap")) < 1e-5
    assert column(trained.checkpoint, "rollouts/lag") == [0.0] * 5
    card = trained.card["rollouts"]
    assert (card["backend"], card["engine"], card["lag"]) == ("scripted", "scripted 1", 0)
    assert 0 <= card["means"]["rollouts/gap"] < 1e-5
    assert "rollouts" not in hf.card
    kinds = [kind for kind, _ in scripted_engine.EVENTS]
    assert kinds[:5] == ["start", "rest", "sample", "rest", "update"]
    assert kinds[-1] == "close"
    assert [value for kind, value in scripted_engine.EVENTS if kind == "update"] == [1, 2, 3, 4]


@pytest.mark.parametrize("log_probs", [(-1.0, float("nan")), (-1.0, float("-inf")), (-1.0,)])
def test_log_probs_that_are_missing_or_not_finite_are_refused(log_probs: tuple[float, ...]) -> None:
    good = EngineSample((4, 5), (-1.0, -2.0))
    check_samples({("a", 1): good})
    with pytest.raises(InputError, match="row 'b' has 2 tokens without as many finite"):
        check_samples({("a", 1): good, ("b", 1): EngineSample((4, 5), log_probs)})


def test_the_engine_has_the_students_weights_after_each_step(world, tmp_path) -> None:
    """The student of each step is the one that a run of that many steps ends with."""
    run(world, tmp_path / "long", **ENGINE, lr_schedule="constant")
    pushed = dict(scripted_engine.WEIGHTS)
    assert sorted(pushed) == [1, 2, 3, 4]
    short = run(world, tmp_path / "short", **ENGINE, lr_schedule="constant", steps=2)
    final = weights(short.checkpoint)
    for name, tensor in pushed[2].items():
        assert torch.equal(tensor, final[name])
    assert any(not torch.equal(pushed[1][name], final[name]) for name in final)


def test_an_adapter_is_merged_into_what_is_pushed(world, tmp_path) -> None:
    pytest.importorskip("peft")
    lora = {"lora_rank": 4, "lora_dropout": 0.0}
    plain = run(world, tmp_path / "hf", **lora)
    trained = run(world, tmp_path / "engine", **lora, **ENGINE)
    assert max(column(trained.checkpoint, "rollouts/gap")) < 1e-5
    pushed = scripted_engine.WEIGHTS[4]
    assert not any("lora" in name or "base_layer" in name for name in pushed)
    start = weights(world.student)
    assert any(not torch.equal(pushed[name], start[name]) for name in pushed)
    ours, theirs = weights(trained.checkpoint), weights(plain.checkpoint)
    assert max(float((ours[name] - theirs[name]).abs().max()) for name in ours) < 1e-3


def test_responses_of_a_step_are_those_of_the_student_lag_steps_before(world, tmp_path, hf) -> None:
    """Each epoch of three steps starts afresh; in it, step t has the weights of step t - 2."""
    trained = run(world, tmp_path / "run", **ENGINE, rollout_lag=2)
    assert column(trained.checkpoint, "rollouts/lag") == [0, 1, 2, 0, 1]
    updates = [value for kind, value in scripted_engine.EVENTS if kind == "update"]
    assert updates == [3]  # of no other step are responses asked for
    assert not any(kind == "rest" for kind, _ in scripted_engine.EVENTS)
    gaps = column(trained.checkpoint, "rollouts/gap")
    assert gaps[0] < 1e-5
    assert gaps[2] > 1e-3
    again = run(world, tmp_path / "again", **ENGINE, rollout_lag=2)
    assert same_weights(trained.checkpoint, again.checkpoint)
    assert not same_weights(trained.checkpoint, hf.checkpoint)


def test_in_a_long_epoch_every_version_is_pushed(world, tmp_path) -> None:
    trained = run(world, tmp_path / "run", **ENGINE, rollout_lag=1, steps=6, limit=24)
    assert column(trained.checkpoint, "rollouts/lag") == [0, 1, 1, 1, 1, 1]
    updates = [value for kind, value in scripted_engine.EVENTS if kind == "update"]
    assert updates == [1, 2, 3, 4]


PROGRAM = """
import json, os, signal, sys
import kdbench, scripted_engine
update = scripted_engine.ScriptedEngine.update
def killed(self, weights, version):
    if version >= 3:
        os.kill(os.getpid(), signal.SIGKILL)
    update(self, weights, version)
scripted_engine.ScriptedEngine.update = killed
kdbench.train(**json.loads(sys.argv[1]))
"""


def test_resuming_after_a_kill_gives_the_same_weights(world, tmp_path) -> None:
    """Responses that were generated ahead are in the saved state."""
    settings = {**ENGINE, "rollout_lag": 2, "steps": 8, "save_every": 1, "limit": 24}
    places = {"student": world.student, "teacher": world.teacher, "data": world.data}
    given = {**FEW, "method": "gkd", "student_fraction": 1, **settings}
    given |= {key: str(place) for key, place in {**places, "out": tmp_path / "two"}.items()}
    helpers = [str(Path(scripted_engine.__file__).parent), *sys.path]
    process = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(given)],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(helpers)},
        check=False,
    )
    assert process.returncode == -signal.SIGKILL
    undisturbed = run(world, tmp_path / "one", **settings)
    resumed = run(world, tmp_path / "two", **settings)
    assert 4 <= resumed.steps < 8
    assert same_weights(undisturbed.checkpoint, resumed.checkpoint)
    assert column(undisturbed.checkpoint, "rollouts/lag") == column(
        resumed.checkpoint, "rollouts/lag"
    )
    assert undisturbed.card["rollouts"] == resumed.card["rollouts"]


def test_a_policy_gradient_is_weighted_and_a_divergence_is_not(world, tmp_path) -> None:
    """Log-probabilities moved by log 2 give every token the weight 1/2."""
    moved = {"rollout_backend_options": {"shift": 0.6931471805599453}}
    grpo = {"method": "grpo", "verifier": "rougeL>=0.1", "samples": 4, "steps": 2, "kl_weight": 0}
    plain = run(world, tmp_path / "plain", **ENGINE, **grpo)
    weighted = run(world, tmp_path / "weighted", **ENGINE, **grpo, **moved)
    assert column(weighted.checkpoint, "rollouts/weight") == pytest.approx([0.5] * 2, abs=1e-4)
    assert column(weighted.checkpoint, "rollouts/gap") == pytest.approx([0.6931] * 2, abs=1e-3)
    assert column(weighted.checkpoint, "rollouts/kl_k1") == pytest.approx([0.6931] * 2, abs=1e-3)
    ratio = column(weighted.checkpoint, "grad_norm")[0] / column(plain.checkpoint, "grad_norm")[0]
    assert ratio == pytest.approx(0.5, abs=1e-3)
    gkd = run(world, tmp_path / "gkd", **ENGINE, **moved, steps=2)
    assert not column(gkd.checkpoint, "rollouts/weight")
    assert column(gkd.checkpoint, "rollouts/gap") == pytest.approx([0.6931] * 2, abs=1e-3)


def test_the_clip_bounds_the_weights(world, tmp_path) -> None:
    far = {"rollout_backend_options": {"shift": -5}, "rollout_weight_clip": 3}
    trained = run(world, tmp_path / "run", method="opd", **ENGINE, **far, steps=1)
    assert column(trained.checkpoint, "rollouts/weight") == pytest.approx([3.0])
    assert column(trained.checkpoint, "rollouts/weight_clipped") == [1.0]


def test_between_lines_of_the_log_a_divergence_costs_no_further_pass(world, tmp_path) -> None:
    every = run(world, tmp_path / "every", **ENGINE, log_every=4, steps=4)
    lines = [line for line in log_of(every.checkpoint) if "rollouts/gap" in line and "loss" in line]
    assert [line["step"] for line in lines] == [1, 4]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rollout_lag": 1, "rollout_backend": "hf"}, "rollout_lag= is for an engine"),
        ({"rollout_backend": "scriptd"}, "did you mean 'scripted'"),
        ({"method": "sft"}, "samples nothing of the student"),
        ({"method": "skd"}, "the teacher takes part in the sampling"),
        ({"method": "minillm"}, "the teacher takes part in the sampling"),
        ({"method": "distillm", "rollout_lag": 1}, "none can be generated ahead"),
        ({"rollout_backend_options": {"speed": 9}}, "scripted has no such option"),
        ({"rollout_server": "localhost:8400"}, "must begin with http"),
        ({"rollout_server": "http://me:hunter2@127.0.0.1:9"}, "must have no login"),
        ({"rollout_server": "http://127.0.0.1:9"}, "does not answer"),
        ({"rollout_weight_clip": 0}, "greater than 0"),
        ({"student_quantization": "4bit", "lora_rank": 4}, "cannot be pushed"),
    ],
)
def test_what_cannot_work_is_refused_before_a_model_is_loaded(
    world, tmp_path, monkeypatch, settings, message
) -> None:
    monkeypatch.setattr("kdbench.checkpoint.load.load_checkpoint", None)
    with pytest.raises(kdbench.InputError, match=message) as error:
        run(world, tmp_path / "x", **{**ENGINE, **settings})
    assert "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())


def test_several_processes_are_refused(world, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(kdbench.InputError, match="this run has 2 processes"):
        run(world, tmp_path / "x", **ENGINE)


def test_options_that_change_no_sample_are_no_part_of_a_run(world, tmp_path) -> None:
    first = run(world, tmp_path / "run", **ENGINE, steps=1)
    scripted_engine.EVENTS.clear()
    silent = {"rollout_backend_options": {"silent": 1}}
    assert run(world, tmp_path / "run", **ENGINE, steps=1, **silent).steps == 0
    assert first.card["training"]["settings"]["rollout_backend"] == "scripted"
    away = {"rollout_server": "http://127.0.0.1:9"}  # of a finished run, nobody asks it
    assert run(world, tmp_path / "run", **ENGINE, steps=1, **away).steps == 0
    assert not scripted_engine.EVENTS
    with pytest.raises(kdbench.InputError, match="different rollout_lag"):
        run(world, tmp_path / "run", **ENGINE, steps=1, rollout_lag=1)
    with pytest.raises(kdbench.InputError, match="different rollout_backend"):
        run(world, tmp_path / "run", steps=1)


def test_steps_that_learn_from_the_data_set_ask_for_nothing(world, tmp_path) -> None:
    """With a lag, half of the steps are planned and turn out to sample nothing."""
    mixed = {"student_fraction": 0.5, "steps": 9, "limit": 36, "seed": 3}
    ahead = run(world, tmp_path / "ahead", **mixed, **ENGINE, rollout_lag=1)
    lags = [line.get("rollouts/lag") for line in log_of(ahead.checkpoint) if "loss" in line]
    sampled = [lag for lag in lags if lag is not None]
    assert 0 < len(sampled) < 9
    assert set(sampled) <= {0.0, 1.0}
    asked = [value for kind, value in scripted_engine.EVENTS if kind == "sample"]
    assert len(asked) == len(sampled)
