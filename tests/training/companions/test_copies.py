"""Companions that copy the student: frozen, averaged, synchronised."""

import warnings
from copy import deepcopy
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from small_context import EXAMPLES, V, outcome, tiny_context, tiny_llama

from kdbench.divergence import forward_kl
from kdbench.errors import InputError
from kdbench.training import Frozen, HardSync, Match, MovingAverage, Term, Triple
from kdbench.training.loss import distillation_loss
from kdbench.views.rollout import Batch, of_dataset
from kdbench.views.view import ModelView

BATCH = Batch([of_dataset(example) for example in EXAMPLES])


def set_all(model, value):
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(value)


def logits(view):
    with torch.no_grad():
        return view.logits(view.states(BATCH))


def test_a_moving_average_takes_its_share_of_the_student() -> None:
    made = tiny_context()
    average = MovingAverage("slow", decay=0.95, validated=True)
    average.start(made.context)
    set_all(average.model(), 1.0)
    set_all(made.student, 3.0)
    average.after_step(outcome(1))
    for parameter in average.model().parameters():
        torch.testing.assert_close(parameter, torch.full_like(parameter, 1.1))  # .95 + .05 * 3


def test_a_moving_average_may_rest_between_steps() -> None:
    made = tiny_context()
    average = MovingAverage("slow", decay=0.5, every=3, validated=True)
    average.start(made.context)
    set_all(average.model(), 1.0)
    set_all(made.student, 3.0)
    means = []
    for number in range(1, 7):
        average.after_step(outcome(number))
        means.append(float(next(average.model().parameters()).mean()))
    assert means == [1, 1, 2, 2, 2, 2.5]


def test_a_hard_copy_is_taken_after_step_k() -> None:
    made = tiny_context()
    copy = HardSync("old", every=2, validated=True)
    view = copy.start(made.context)
    before = logits(view)
    torch.testing.assert_close(before, logits(made.context.views["student"]), rtol=0, atol=0)
    seen = []
    for number in range(1, 5):
        set_all(made.student, number / 10)
        copy.after_step(outcome(number))
        seen.append(float(next(copy.model().parameters()).max()))
    start = float(next(tiny_llama(1).parameters()).detach().max())
    assert seen == pytest.approx([start, 0.2, 0.2, 0.4])


def test_the_student_at_the_start_does_not_move() -> None:
    made = tiny_context()
    view = Frozen("before").start(made.context)
    before = logits(view)
    set_all(made.student, 0.3)
    torch.testing.assert_close(logits(view), before, rtol=0, atol=0)
    assert not any(parameter.requires_grad for parameter in view.model.parameters())
    assert Frozen("before").model() is None


@pytest.fixture
def adapted():
    """A student with an adapter that has already learned, and dropout."""
    torch.manual_seed(0)
    config = LoraConfig(r=2, target_modules="all-linear", task_type="CAUSAL_LM", lora_dropout=0.5)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated")
        student = get_peft_model(tiny_llama(1), config)
    with torch.no_grad():
        for name, parameter in student.named_parameters():
            if "lora_B" in name:
                parameter.normal_()
    return student


def test_with_an_adapter_the_start_is_the_student_without_it(adapted) -> None:
    made = tiny_context(adapted, student_at_start=None)  # no second copy can be made
    view = Frozen("before").start(made.context)
    plain = ModelView(tiny_llama(1), V)
    adapted.train()
    torch.testing.assert_close(logits(view), logits(plain))
    assert not torch.allclose(logits(ModelView(adapted.eval(), V)), logits(plain))
    adapted.train()
    logits(view)
    assert adapted.training
    trained = [name for name, parameter in adapted.named_parameters() if parameter.requires_grad]
    assert trained
    assert all("lora" in name for name in trained)


def test_looking_at_the_start_changes_no_gradient_of_the_adapter(adapted) -> None:
    made = tiny_context(adapted)
    own = Frozen("before").start(made.context)
    other = ModelView(tiny_llama(1).requires_grad_(False), V)
    gradients = []
    for view in (own, other):
        adapted.eval().zero_grad()
        views = {"student": ModelView(adapted, V), "before": view}
        terms = [Term(Match(forward_kl, view="before"))]
        distillation_loss(terms, BATCH, views).value.backward()
        gradients.append([p.grad.clone() for p in adapted.parameters() if p.grad is not None])
    assert len(gradients[0]) == len(gradients[1]) > 0
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_copies_follow_an_adapter_too(adapted) -> None:
    made = tiny_context(adapted)
    copy = HardSync("old", every=1)
    view = copy.start(made.context)
    for parameter in adapted.parameters():
        if parameter.requires_grad:
            torch.nn.init.normal_(parameter)
    adapted.eval()
    copy.after_step(outcome(1))
    torch.testing.assert_close(logits(view), logits(ModelView(adapted, V)), rtol=0, atol=0)
    assert all("lora" in name for name in copy.state()["model"])


@pytest.mark.parametrize("kind", [HardSync("x", every=1), MovingAverage("x", 0.5)])
def test_copies_are_saved_and_restored(tmp_path: Path, kind) -> None:
    made, other = tiny_context(), deepcopy(kind)
    view = kind.start(made.context)
    set_all(made.student, 0.2)
    kind.after_step(outcome(1))
    kind.save(tmp_path)
    restored = other.start(tiny_context().context)
    other.restore(tmp_path)
    torch.testing.assert_close(logits(restored), logits(view), rtol=0, atol=0)


def test_a_missing_checkpoint_is_known_before_anything_is_loaded(tmp_path: Path) -> None:
    none = tmp_path / "none"
    for kind in (Frozen("second", none), MovingAverage("slow", checkpoint=none)):
        with pytest.raises(InputError, match=f"{kind.name}_model=.*none: no such folder"):
            Triple(Match(forward_kl), companions=[kind]).check()


TO_TEACHER = Match(forward_kl)


@pytest.mark.parametrize(
    ("triple", "line"),
    [
        (Triple(Match(forward_kl, view="sec"), companions=[Frozen("second")]), "'sec'.*second"),
        (Triple(TO_TEACHER, companions=[Frozen("student")]), "two views are called"),
        (Triple(TO_TEACHER, companions=[Frozen("teacher")]), "two views are called"),
        (Triple(TO_TEACHER, companions=[Frozen("a"), HardSync("a")]), "two views are called"),
        (Triple(TO_TEACHER, companions=[Frozen("../a")]), "use letters"),
        (Triple(TO_TEACHER, prompts={"b": lambda row, encode: (1,)}), "there is no view 'b'"),
    ],
)
def test_views_are_checked_by_name(triple: Triple, line: str) -> None:
    with pytest.raises(InputError, match=line) as error:
        triple.check()
    assert "\n" not in str(error.value)
