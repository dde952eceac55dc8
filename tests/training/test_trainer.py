"""The whole trainer: the same result for any batching, and no loss from a crash."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import kdbench
from kdbench.checkpoint import find_checkpoint
from kdbench.distillation.train import Trained

FEW = {
    "steps": 4,
    "batch_size": 8,
    "limit": 24,
    "learning_rate": 1e-2,
    "max_new_tokens": 12,
    "validation_limit": 6,
    "validate_every": 2,
    "log_every": 1,
    "device": "cpu",
    "precision": "float32",
}


def run(world, out: Path, **settings: object) -> Trained:
    both = {"student": str(world.student), "teacher": str(world.teacher), "data": world.data}
    return kdbench.train(**{**FEW, **both, "out": out, **settings})


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def largest_difference(first: Path, other: Path) -> float:
    ours, theirs = weights(first), weights(other)
    assert ours.keys() == theirs.keys()
    return max(float((ours[name] - theirs[name]).abs().max()) for name in ours)


def log_of(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "training.jsonl").read_text().splitlines()]


def learn_alike(first: Path, other: Path) -> None:
    """Adam turns rounding of tiny gradients into steps, so weights are compared more loosely."""
    for name in ("loss", "grad_norm"):
        curves = [
            [line[name] for line in log_of(folder) if name in line] for folder in (first, other)
        ]
        assert len(curves[0]) == FEW["steps"]
        assert curves[0] == pytest.approx(curves[1], rel=2e-3)
        assert curves[0][0] == pytest.approx(curves[1][0], rel=1e-5)
    assert largest_difference(first, other) < 1e-3


def test_a_student_is_trained_and_can_be_evaluated(world, tmp_path) -> None:
    trained = run(world, tmp_path / "gkd", method="gkd", setting="toy")
    assert trained.steps == 4
    assert largest_difference(trained.checkpoint, world.student) > 1e-4
    checkpoint = find_checkpoint(str(trained.checkpoint))
    assert checkpoint.card["method"] == "GKD"
    assert checkpoint.card["setting"] == "toy"
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == ["gkd"]
    evaluation = kdbench.evaluate(
        model=str(trained.checkpoint),
        data=world.data,
        tasks="dolly",
        limit=2,
        seeds=(1,),
        max_new_tokens=4,
        results=tmp_path / "results",
        device="cpu",
    )
    run_record = json.loads((evaluation.run / "run.json").read_text())
    assert run_record["method"] == "GKD"
    assert run_record["setting"] == "toy"


def test_the_run_card_records_inputs_quality_and_cost(world, tmp_path) -> None:
    trained = run(world, tmp_path / "c", method="classmate", student_fraction=0.5)
    card = json.loads((trained.checkpoint / "kdbench.json").read_text())
    assert card["training"]["teacher"]["sha256"] == find_checkpoint(str(world.teacher)).sha256
    assert card["training"]["student"]["sha256"] == find_checkpoint(str(world.student)).sha256
    assert card["training"]["data"]["train"]["rows"] == 24
    assert card["training"]["parameters"]["strength"] == 0.25
    assert card["triple"]["source"] == "student(0.5)+dataset"
    assert "on student" in card["triple"]["objective"]
    assert [validation["step"] for validation in card["validations"]] == [0, 2, 4]
    assert {"loss", "rougeL", "classmate_loss", "classmate_rougeL"} <= set(card["validations"][0])
    assert card["selected"]["step"] in (2, 4)
    assert {"train", "validate", "generate", "companion"} <= set(card["phases"])
    assert card["phases"]["train"]["tokens"] > 0
    assert card["phases"]["generate"]["tokens"] > 0
    assert card["peak_memory_bytes"]["host"] > 0


def test_repeating_a_command_does_nothing(world, tmp_path) -> None:
    first = run(world, tmp_path / "kd", method="kd")
    again = run(world, tmp_path / "kd", method="kd", log_every=3, label="other")
    assert again.steps == 0
    assert again.card == first.card
    with pytest.raises(kdbench.InputError, match="learning_rate"):
        run(world, tmp_path / "kd", method="kd", learning_rate=1e-3)
    with pytest.raises(kdbench.InputError, match="kd_ratio"):
        run(world, tmp_path / "kd", method="kd", kd_ratio=1.0)


@pytest.mark.parametrize("method", ["gkd", "minillm"])
def test_micro_batches_and_chunks_change_no_weight(world, tmp_path, method) -> None:
    """The loss is normalised by the tokens of the whole step (TRL issue 4719)."""
    run(world, tmp_path / "whole", method=method, micro_batch_size=8)
    run(world, tmp_path / "split", method=method, micro_batch_size=3, chunk_tokens=7)
    learn_alike(tmp_path / "whole", tmp_path / "split")


def test_gradient_checkpointing_changes_no_weight(world, tmp_path) -> None:
    run(world, tmp_path / "plain", method="kd")
    run(world, tmp_path / "less", method="kd", gradient_checkpointing=True)
    learn_alike(tmp_path / "plain", tmp_path / "less")


def test_bfloat16_learns_about_the_same(world, tmp_path) -> None:
    full = run(world, tmp_path / "full", method="gkd")
    half = run(world, tmp_path / "half", method="gkd", precision="bfloat16")
    kept = [checkpoint.card["validations"][-1]["loss"] for checkpoint in (full, half)]
    assert kept[0] == pytest.approx(kept[1], rel=0.1)
    assert weights(half.checkpoint)["model.norm.weight"].dtype == torch.float32


def test_a_lora_student_is_merged_at_the_end(world, tmp_path) -> None:
    pytest.importorskip("peft")
    trained = run(world, tmp_path / "lora", method="gkd", lora_rank=4, steps=2)
    changed = weights(trained.checkpoint)
    before = weights(world.student)
    assert changed.keys() == before.keys()
    assert not torch.equal(
        changed["model.layers.0.self_attn.q_proj.weight"],
        before["model.layers.0.self_attn.q_proj.weight"],
    )
    assert torch.equal(changed["model.embed_tokens.weight"], before["model.embed_tokens.weight"])
    assert not list(trained.checkpoint.glob("adapter*"))


def test_a_pruned_teacher_can_be_the_student(world, tmp_path) -> None:
    trained = run(world, tmp_path / "p", method="kd", student="prune:teacher,layers=2", steps=2)
    assert trained.card["training"]["student"]["layers"] == 2
    config = json.loads((trained.checkpoint / "config.json").read_text())
    assert config["num_hidden_layers"] == 2


def test_plain_texts_are_used_against_forgetting(world, tmp_path) -> None:
    file = tmp_path / "texts.jsonl"
    file.write_text('{"text": "Anna lives in Rome."}\n{"text": "Ben has a dog."}\n')
    trained = run(world, tmp_path / "p", method="gkd", pretraining=file, steps=2)
    assert "cross_entropy on pretraining" in trained.card["triple"]["objective"]
    assert any("loss/cross_entropy on pretraining" in line for line in log_of(tmp_path / "p"))


def test_selection_by_loss_by_rouge_and_last(world, tmp_path) -> None:
    steps = {}
    for select in ("loss", "rougeL", "last"):
        card = run(world, tmp_path / select, method="sft", select=select, learning_rate=0.1).card
        after = card["validations"][1:]
        steps[select] = card["selected"]["step"]
        if select == "loss":
            assert card["selected"]["loss"] == min(validation["loss"] for validation in after)
        if select == "rougeL":
            assert card["selected"]["rougeL"] == max(validation["rougeL"] for validation in after)
    assert steps["last"] == 4


@pytest.mark.parametrize(
    ("settings", "kind"),
    [
        ({"method": "sft", "epochs": 2, "steps": None, "validate_every": None}, "an epoch"),
        ({"method": "gkd"}, "on policy"),
        ({"method": "minillm", "rollout_batches": 2, "passes": 2}, "a pool of rollouts"),
        ({"method": "distillm", "threshold": 0.7, "capacity": 12}, "a replay buffer"),
        ({"method": "classmate", "classmate_lag": 0.01}, "a classmate"),
        ({"method": "classmate", "classmate": "ema", "form": "subtract"}, "a moving average"),
        ({"method": "taid"}, "a schedule"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_resuming_after_any_save_gives_the_same_weights(
    world, tmp_path, monkeypatch, settings, kind
) -> None:
    settings = {"save_every": 1, **settings}
    undisturbed = run(world, tmp_path / "one", **settings)
    for stop in range(1, 4):
        _stop_after(monkeypatch, stop)
        with pytest.raises(KeyboardInterrupt):
            run(world, tmp_path / "two", **settings)
        monkeypatch.undo()
    resumed = run(world, tmp_path / "two", **settings)
    assert largest_difference(undisturbed.checkpoint, resumed.checkpoint) == 0
    assert resumed.card["validations"] == undisturbed.card["validations"]
    assert resumed.card["selected"] == undisturbed.card["selected"]
    curves = [
        [(entry["step"], entry["loss"]) for entry in log_of(folder) if "loss" in entry]
        for folder in (undisturbed.checkpoint, resumed.checkpoint)
    ]
    assert curves[0] == curves[1]


def _stop_after(monkeypatch, step: int) -> None:
    """Interrupt in the step after the given one, whose state is then on disk."""
    from kdbench.training.trainer import DistillationTrainer

    train = DistillationTrainer.training_step

    def stop(self, *arguments):
        if self.state.global_step >= step:
            raise KeyboardInterrupt
        return train(self, *arguments)

    monkeypatch.setattr(DistillationTrainer, "training_step", stop)


def test_resuming_after_any_kill_gives_the_same_weights(world, tmp_path) -> None:
    settings = {"method": "distillm", "threshold": 0.6, "save_every": 1, "steps": 40}
    arguments = [f"{key}={value}" for key, value in {**FEW, **settings}.items()]
    arguments += [f"student={world.student}", f"teacher={world.teacher}", f"data={world.data}"]
    unfinished = tmp_path / "two.unfinished"
    for delay in (0.0, 0.07):
        process = subprocess.Popen(
            [sys.executable, "-m", "kdbench", "train", f"out={tmp_path / 'two'}", *arguments],
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stderr=subprocess.DEVNULL,
        )
        before = saved(unfinished)
        while process.poll() is None and not saved(unfinished) - before:
            time.sleep(0.005)
        time.sleep(delay)  # somewhere in a later step, perhaps while it saves
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        assert unfinished.exists()
    undisturbed = run(world, tmp_path / "one", **settings)
    resumed = run(world, tmp_path / "two", **settings)
    assert 0 < resumed.steps < 40
    assert largest_difference(undisturbed.checkpoint, resumed.checkpoint) == 0
    assert not unfinished.exists()


def saved(folder: Path) -> set[str]:
    return {path.parent.name for path in folder.glob("checkpoint-*/kdbench_state.json")}


def test_resuming_after_the_last_step_takes_no_further_step(world, tmp_path, monkeypatch) -> None:
    settings = {"method": "kd", "steps": 4, "validate_every": None}  # an epoch has 3
    undisturbed = run(world, tmp_path / "one", **settings)

    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("kdbench.distillation.train._finish", killed)
    with pytest.raises(KeyboardInterrupt):
        run(world, tmp_path / "two", **settings)
    monkeypatch.undo()
    resumed = run(world, tmp_path / "two", **settings)
    assert resumed.steps == 0
    assert resumed.card["steps"] == 4
    assert resumed.card["validations"] == undisturbed.card["validations"]
    assert largest_difference(undisturbed.checkpoint, resumed.checkpoint) == 0


def test_leftovers_of_a_kill_after_the_end_are_removed(world, tmp_path, monkeypatch) -> None:
    run(world, tmp_path / "kd", method="kd")
    leftover = tmp_path / "kd.unfinished" / "checkpoint-4"
    leftover.mkdir(parents=True)
    assert run(world, tmp_path / "kd", method="kd").steps == 0
    assert [path.name for path in tmp_path.iterdir()] == ["kd"]


@pytest.mark.parametrize("method", ["minillm", "opd"])
def test_policy_gradients_need_plain_samples(world, tmp_path, method) -> None:
    with pytest.raises(kdbench.InputError, match="plain samples"):
        run(world, tmp_path / "x", method=method, sampling_temperature=0.5)


def test_a_classmate_needs_the_students_tokenizer(world, tmp_path) -> None:
    other = tmp_path / "other"
    shutil.copytree(world.student, other)
    file = other / "tokenizer.json"
    tokenizer = json.loads(file.read_text("utf-8"))
    vocabulary = tokenizer["model"]["vocab"]
    first, second = sorted(vocabulary, key=vocabulary.get)[-2:]
    vocabulary[first], vocabulary[second] = vocabulary[second], vocabulary[first]
    file.write_text(json.dumps(tokenizer), "utf-8")
    with pytest.raises(kdbench.InputError, match="student and classmate have different"):
        run(world, tmp_path / "x", method="classmate", classmate_model=other)


def test_teacher_responses_depend_on_the_precision_and_keep_their_cost(world, tmp_path) -> None:
    kept = {"teacher_responses": tmp_path / "kept", "method": "seqkd", "steps": 2}
    first = run(world, tmp_path / "a", **kept)
    again = run(world, tmp_path / "b", **kept)
    other = run(world, tmp_path / "c", **kept, teacher_dtype="bfloat16")
    cost = [checkpoint.card["phases"]["teacher_responses"] for checkpoint in (first, again, other)]
    assert cost[0]["tokens"] == cost[1]["tokens"] > 0
    assert cost[1]["seconds"] >= cost[0]["seconds"] > 0
    assert len(list((tmp_path / "kept").glob("*/seconds.json"))) == 2
    assert largest_difference(first.checkpoint, again.checkpoint) == 0


def test_the_classmate_uses_the_students_learning_rate(world, tmp_path, monkeypatch) -> None:
    from kdbench.training import Peer

    rates = []
    learn = Peer._learn

    def spy(self, outcome):
        learn(self, outcome)
        rates.append((self._optimizer.param_groups[0]["lr"], self._optimizer.defaults["betas"]))

    monkeypatch.setattr(Peer, "_learn", spy)
    settings = {"method": "classmate", "lr_schedule": "linear", "classmate_every": 1, "beta2": 0.95}
    run(world, tmp_path / "x", **settings)
    logged = [
        entry["learning_rate"] for entry in log_of(tmp_path / "x") if "learning_rate" in entry
    ]
    assert [rate for rate, _ in rates] == [1e-2, 7.5e-3, 5e-3, 2.5e-3]
    assert len(logged) == 4
    assert rates[0][1] == (0.9, 0.95)


def test_an_epoch_of_minillm_uses_every_prompt_once(world, tmp_path, capsys) -> None:
    settings = {"method": "minillm", "rollout_batches": 1, "passes": 2, "validation_limit": 2}
    trained = run(world, tmp_path / "m", **settings, steps=None, epochs=1, validate_every=None)
    assert trained.steps == 6  # of 8 rows, each prompt twice
    assert trained.card["prompts"] == {"used": 24, "of": 24, "epochs": 1.0}
    assert [validation["step"] for validation in trained.card["validations"]] == [0, 6]
    epochs = [line["epoch"] for line in log_of(tmp_path / "m") if "loss" in line]
    assert epochs == pytest.approx([number / 6 for number in range(1, 7)])
    note = "an epoch of minillm has 6 steps (of other methods: 3), as a step uses 4 new prompts"
    assert note in capsys.readouterr().err
    other = run(world, tmp_path / "k", method="kd", steps=None, epochs=1, validate_every=None)
    assert other.steps == 3
    assert other.card["prompts"] == {"used": 24, "of": 24, "epochs": 1.0}
    assert "an epoch of" not in capsys.readouterr().err


def test_a_minillm_of_earlier_epochs_is_refused_and_one_of_steps_is_not(world, tmp_path) -> None:
    def as_it_was(out: Path) -> None:
        card = json.loads((out / "kdbench.json").read_text())
        card["training"]["settings"].pop("epochs_count", None)
        card["prompts"].pop("epochs")
        (out / "kdbench.json").write_text(json.dumps(card))

    few = {"method": "minillm", "rollout_batches": 1, "passes": 1, "limit": 8, "max_new_tokens": 2}
    run(world, tmp_path / "s", **few, steps=1)
    as_it_was(tmp_path / "s")
    assert run(world, tmp_path / "s", **few, steps=1).steps == 0
    few |= {"passes": 2, "steps": None}
    run(world, tmp_path / "e", **few, epochs=0.5)
    as_it_was(tmp_path / "e")
    with pytest.raises(kdbench.InputError, match=r"epochs_count \(was batches, is prompts\)"):
        run(world, tmp_path / "e", **few, epochs=0.5)


def test_a_cut_teacher_response_gets_an_end_token_only_if_asked(world, tmp_path) -> None:
    few = {"method": "seqkd", "max_new_tokens": 2, "steps": 3, "validation_limit": 2}
    tokens = {}
    for end in ("omit", "append"):
        trained = run(world, tmp_path / end, **few, truncated_end=end)
        tokens[end] = trained.card["phases"]["train"]["tokens"]
        assert trained.card["training"]["parameters"]["truncated_end"] == end
    (file,) = tmp_path.glob("teacher-responses/*/dolly/train.jsonl")  # which both runs share
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    cut = sum(line["finish"] == "length" for line in lines)
    assert tokens["append"] - tokens["omit"] == cut > 0
