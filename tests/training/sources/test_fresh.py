"""The teacher answers the prompts of each step anew."""

from types import SimpleNamespace

from kdbench.methods import methods
from kdbench.training.sources.fresh import FreshFromTeacher


def test_a_step_asks_the_teacher_for_one_response_to_each_example():
    asked = []

    def responses(examples, view):
        asked.append((list(examples), view))
        return ["response"] * len(examples)

    draw = SimpleNamespace(examples=["a", "b"], responses=responses)
    assert FreshFromTeacher().rollouts(draw) == ["response", "response"]
    assert asked == [(["a", "b"], "teacher")]


def test_seqkd_samples_in_training_only_if_it_is_fresh():
    fixed, fresh = (methods.get("seqkd")(fresh=value).triple() for value in (False, True))
    assert not fixed.source.gives_samples
    assert fresh.source.gives_samples
    assert fresh.needs_teacher_model
    assert str(fresh.source) == "teacher, anew"
