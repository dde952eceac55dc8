"""A few steps of a training, timed: which steps, which tokens, and what is left behind."""

import pytest

from kdbench.distillation.recipe import make_recipe
from kdbench.distillation.timed import time_training, why_not
from kdbench.errors import InputError


def recipe(world, method, **keys):
    given = {"student": world.student, "teacher": world.teacher, "data": world.data}
    own = {"steps": 30, "batch_size": 4, "device": "cpu", "validation_limit": 4}
    own |= {"max_new_tokens": 8, "seed": 3}
    return make_recipe({"method": method, **{k: str(v) for k, v in given.items()}, **own, **keys})


def test_steps_are_timed_after_a_warm_up_and_tokens_are_counted_by_model(world, tmp_path):
    found = time_training(recipe(world, "kd"), tmp_path / "scratch", 2)
    (stage,) = found.stages
    assert (stage.share, len(stage.steps), found.batch_size) == (1, 2, 4)
    for step in (stage.warm_up, *stage.steps):
        assert step.whole.seconds > 0
        assert 0 < step.whole.tokens < step.student_tokens  # prompts and padding go through too
        assert step.student_tokens == step.teacher_tokens
        assert (step.other_tokens, step.generating.tokens, step.generating.seconds) == (0, 0, 0)
    assert found.once == {}
    assert found.teacher_parameters > found.student_parameters > 0
    assert found.start_up_seconds > 0


def test_what_is_generated_is_timed_apart(world, tmp_path):
    made = recipe(world, "gkd", student_fraction=1, teacher_weight=0)
    (stage,) = time_training(made, tmp_path / "scratch", 2).stages
    for step in stage.steps:
        assert 0 < step.generating.tokens <= 4 * 8
        assert 0 < step.generating.seconds < step.whole.seconds
        assert step.whole.tokens == step.generating.tokens  # it learns from its samples
        assert step.student_tokens > step.teacher_tokens > 0


def test_a_classmate_is_another_model(world, tmp_path):
    made = recipe(world, "classmate", student_fraction=0)
    (stage,) = time_training(made, tmp_path / "scratch", 1).stages
    assert stage.steps[0].other_tokens > 0


def test_the_teacher_answers_only_the_prompts_of_the_timed_steps(world, tmp_path):
    made = recipe(world, "seqkd", steps=None, epochs=2, teacher_responses=tmp_path / "shared")
    found = time_training(made, tmp_path / "scratch", 2)
    assert 0 < found.once["teacher_responses"].tokens <= 3 * 4 * 8
    assert found.once["teacher_responses"].seconds > 0
    assert not (tmp_path / "shared").exists()  # a real training would take them for its own


def test_each_stage_is_timed_and_counts_by_its_steps(world, tmp_path):
    found = time_training(recipe(world, "iterated", generations=2), tmp_path / "scratch", 1)
    assert [stage.share for stage in found.stages] == [0.5, 0.5]
    assert [len(stage.steps) for stage in found.stages] == [1, 1]


def test_a_training_of_one_step_cannot_be_timed(world, tmp_path):
    with pytest.raises(InputError, match="has 1 steps; to be timed it needs 2"):
        time_training(recipe(world, "sft", steps=1), tmp_path / "scratch", 2)


def test_work_elsewhere_is_not_timed(world):
    assert why_not(recipe(world, "kd")) is None
    server = recipe(world, "kd", teacher="http://127.0.0.1:9")
    assert "on a server" in str(why_not(server))
    assert "teacher_cache=" in str(why_not(recipe(world, "kd", teacher_cache="x")))
    assert "rollout_backend=vllm" in str(why_not(recipe(world, "gkd", rollout_backend="vllm")))
