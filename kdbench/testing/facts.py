"""What holds for every objective on given states."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch

from kdbench.errors import InputError
from kdbench.testing.case import Case
from kdbench.testing.changed import changes_of
from kdbench.testing.reference import reference_loss
from kdbench.testing.table import VOCABULARY, TableView
from kdbench.training.compiled import ChunkCompiler
from kdbench.training.loss import amounts_of
from kdbench.views.view import View

Views = Mapping[str, View]
Modules = Mapping[str, Any]


def chunks_do_not_change_loss_and_gradient(case: Case) -> None:
    """Chunks of any length give what a single one gives."""
    rows, parts = case.rollouts(), case.parts()
    views = case.views(rows)
    whole = case.loss(rows, views, parts, chunk=1000)
    gradients = gradients_of_loss(whole.value, views, parts)
    assert torch.isfinite(whole.value)
    assert any(bool(gradient.any()) for gradient in gradients) or not case.learns
    for chunk in (1, 5, None):
        cut = case.loss(rows, views, parts, chunk=chunk)
        _assert_close([cut.value], [whole.value])
        _assert_close(gradients_of_loss(cut.value, views, parts), gradients)


def chunks_do_not_change_the_diagnostics(case: Case) -> None:
    """Diagnostics are sums over the tokens of the term."""
    rows, parts = case.rollouts(), case.parts()
    views = case.views(rows)
    whole = case.loss(rows, views, parts, chunk=1000, diagnose=True).diagnostics
    cut = case.loss(rows, views, parts, chunk=3, diagnose=True).diagnostics
    assert cut.keys() == whole.keys()
    for name, (total, count) in whole.items():
        assert torch.isfinite(total)
        assert cut[name][1] == count == sum(len(row.response_ids) for row in rows)
        torch.testing.assert_close(cut[name][0], total)


def micro_batches_add_up_to_the_step(case: Case) -> None:
    """However the rows are split; groups are never split."""
    rows, parts = case.rollouts(), case.parts()
    views, amounts = case.views(rows), amounts_of([case.term], rows)
    whole = case.loss(rows, views, parts, amounts).value
    gradients = gradients_of_loss(whole, views, parts)
    for batches in case.cuts(rows):
        losses = [case.loss(batch, views, parts, amounts).value for batch in batches]
        value = torch.stack(losses).sum()
        _assert_close([value], [whole])
        _assert_close(gradients_of_loss(value, views, parts), gradients)


def loss_and_gradient_equal_plain_autograd(case: Case) -> None:
    """All logits at once, in float64: ours in float64, and ours in float32."""
    rows = case.rollouts()
    for dtype, limit in ((torch.float64, 1e-10), (torch.float32, 2e-4)):
        parts, exact = case.parts(dtype), case.parts()
        views, exactly = case.views(rows, dtype), case.views(rows)
        value = case.loss(rows, views, parts, chunk=5).value
        expected = reference_loss(case, rows, exactly, exact)
        _assert_close([value], [expected], limit)
        _assert_close(
            gradients_of_loss(value, views, parts),
            gradients_of_loss(expected, exactly, exact),
            limit,
        )


def the_compiled_loss_is_equal_and_is_compiled_once(case: Case, backend: str = "aot_eager") -> None:
    """In steps of different lengths; once more for each value of the schedule that changes."""
    compiler, counters = ChunkCompiler(enabled=True, backend=backend), torch._dynamo.utils.counters
    before = counters["stats"]["unique_graphs"]
    for number, lengths in enumerate([(4, 1, 6, 3), (5, 2, 9, 3), (2, 2, 2, 2)]):
        moved = {
            key: min(1.0, value + 0.1 * number) if isinstance(value, float) and value < 1 else value
            for key, value in case.schedule.items()
        }
        step = replace(case, schedule=moved)
        rows, parts = step.rollouts(lengths, seed=number), step.parts()
        views = step.views(rows)
        eager = step.loss(rows, views, parts, chunk=8).value
        compiled = step.loss(rows, views, parts, chunk=8, compiler=compiler).value
        _assert_close([compiled], [eager], 1e-9)
        _assert_close(
            gradients_of_loss(compiled, views, parts), gradients_of_loss(eager, views, parts), 1e-9
        )
    times = counters["stats"]["unique_graphs"] - before
    assert times <= 1 + len(case.schedule), f"it is compiled {times} times"
    assert not compiler.failures, compiler.failures[0]


def responses_of_other_origins_do_not_count(case: Case) -> None:
    """A micro-batch that has nothing for the term has the loss 0."""
    rows, parts = case.rollouts(), case.parts()
    others = [replace(row, id=f"other {row.id}", origin="pretraining", group=None) for row in rows]
    views = case.views([*rows, *others])
    alone = case.loss(rows, views, parts)
    _assert_close([case.loss([*rows, *others], views, parts).value], [alone.value])
    nothing = case.loss(others, views, parts, amounts_of([case.term], rows)).value
    assert float(nothing.detach()) == 0
    assert not any(bool(gradient.any()) for gradient in gradients_of_loss(nothing, views, parts))


def no_gradient_flows_into_a_view(case: Case) -> None:
    """The student and the parts alone learn."""
    rows, parts = case.rollouts(), case.parts()
    views = case.views(rows)
    case.loss(rows, views, parts).value.backward()
    student = views["student"]
    assert isinstance(student, TableView)
    assert any(leaf.grad is not None for leaf in student.leaves)
    for name in case.view_names:
        view = views[name]
        if isinstance(view, TableView):
            assert all(leaf.grad is None for leaf in view.leaves), name


def extreme_logits_give_a_finite_loss_and_gradient(case: Case) -> None:
    """Logits of 10,000 either way, many equal or none, by heads in float32 and bfloat16."""
    rows = case.rollouts((20, 20, 20, 20))
    for dtype in (torch.float32, torch.bfloat16):
        for ties in (False, True):
            views, parts = case.views(rows, dtype), case.parts(torch.float32)
            for view in views.values():
                inner = getattr(view, "_view", view)
                if isinstance(inner, TableView):
                    inner.make_extreme(ties)
            loss = case.loss(rows, views, parts, diagnose=True)
            assert torch.isfinite(loss.value)
            assert loss.value.dtype == torch.float32
            for gradient in gradients_of_loss(loss.value, views, parts):
                assert torch.isfinite(gradient).all()
            assert all(torch.isfinite(total) for total, _ in loss.diagnostics.values())


def a_student_equal_to_the_teacher_has_the_lowest_loss(case: Case) -> None:
    """The loss is the objective's `floor`, and has no gradient."""
    floor = case.term.objective.floor
    rows, parts = [replace(row, weight=1.0) for row in case.rollouts()], case.parts()
    views = case.views(rows)
    views |= dict.fromkeys(case.view_names, views["student"])
    loss = replace(case, term=replace(case.term, weight=1.0)).loss(rows, views, parts).value
    assert floor is not None
    assert abs(float(loss.detach()) - floor) < 1e-10
    for gradient in gradients_of_loss(loss, views, parts):
        assert float(gradient.abs().max()) < 1e-8


def the_gradient_is_the_derivative(case: Case) -> None:
    """Along a random direction; losses of which a part is detached on purpose fail this."""
    rows, parts, h = case.rollouts(), case.parts(), 1e-6
    views = case.views(rows)
    leaves = _leaves(views, parts)
    draw = torch.Generator().manual_seed(3)
    direction = [torch.randn(leaf.shape, generator=draw, dtype=leaf.dtype) for leaf in leaves]
    gradients = gradients_of_loss(case.loss(rows, views, parts).value, views, parts)
    slope = sum(float((g * d).sum()) for g, d in zip(gradients, direction, strict=True))
    ends = []
    for step in (h, -2 * h):
        with torch.no_grad():
            for leaf, way in zip(leaves, direction, strict=True):
                leaf.add_(way, alpha=step)
        ends.append(float(case.loss(rows, views, parts).value.detach()))
    assert abs((ends[0] - ends[1]) / (2 * h) - slope) < 1e-6 * max(1.0, abs(slope))


def a_permuted_vocabulary_changes_nothing(case: Case) -> None:
    """No token is special."""
    order = torch.randperm(VOCABULARY, generator=torch.Generator().manual_seed(1))
    places = order.argsort().tolist()
    rows, parts = case.rollouts(), case.parts()
    renamed = [replace(r, response_ids=tuple(places[t] for t in r.response_ids)) for r in rows]
    plain = case.loss(rows, case.views(rows), parts).value
    permuted = case.loss(renamed, case.views(rows, order=order), parts).value
    _assert_close([permuted], [plain], 1e-10)


def a_constant_added_to_the_logits_changes_nothing(case: Case) -> None:
    """Logits have no zero."""
    rows, parts = case.rollouts(), case.parts()
    plain = case.loss(rows, case.views(rows), parts).value
    for name in ("student", *case.view_names):
        views = case.views(rows)
        view = views[name]
        if isinstance(view, TableView):
            view.shift = 3.0
            _assert_close([case.loss(rows, views, parts).value], [plain], 1e-10)


def every_number_of_the_objective_reaches_the_loss(case: Case) -> None:
    """A field that changes nothing is forgotten somewhere."""
    rows, parts = case.rollouts((6, 5, 6, 7)), case.parts()
    views, objective = case.views(rows), case.term.objective
    plain = float(case.loss(rows, views, parts).value.detach())
    for name, changes in changes_of(objective).items():
        values = [_value(case, change, rows, views, parts) for change in changes]
        usable = [value for value in values if value is not None]
        assert not usable or any(abs(value - plain) > 1e-9 for value in usable), (
            f"{type(objective).__name__}.{name} does not change the loss"
        )


def every_part_gets_a_gradient(case: Case) -> None:
    """From one of the method's terms."""
    rows = case.rollouts()
    parts = case.parts()
    moved: set[str] = set()
    for term in case.triple.terms:
        other = replace(case, term=term)
        mine = other.rollouts()
        value = other.loss(mine, other.views(mine), parts).value
        trained = [
            (name, parameter)
            for name, module in parts.items()
            for parameter in module.parameters()
            if parameter.requires_grad
        ]
        found = torch.autograd.grad(value, [p for _, p in trained], allow_unused=True)
        for (name, _), gradient in zip(trained, found, strict=True):
            if gradient is not None and bool(gradient.any()):
                moved.add(name)
    assert rows
    assert moved == set(parts), f"no gradient reaches {sorted(set(parts) - moved)}"


def _leaves(views: Views, parts: Modules) -> list[torch.Tensor]:
    student = views["student"]
    assert isinstance(student, TableView)
    return [*student.leaves, *(p for module in parts.values() for p in module.parameters())]


def gradients_of_loss(value: torch.Tensor, views: Views, parts: Modules) -> list[torch.Tensor]:
    """The gradients of the student's states, layers and head, and of the parts."""
    leaves = _leaves(views, parts)
    found = torch.autograd.grad(value, leaves, materialize_grads=True, allow_unused=True)
    return list(found)


def _assert_close(
    actual: Sequence[torch.Tensor], expected: Sequence[torch.Tensor], limit: float = 1e-11
) -> None:
    for value, other in zip(actual, expected, strict=True):
        torch.testing.assert_close(value.double(), other.double(), atol=limit, rtol=limit)


def _value(case: Case, objective: Any, rows: Any, views: Views, parts: Modules) -> float | None:
    try:
        other = replace(case, term=replace(case.term, objective=objective))
        return float(other.loss(rows, views, parts).value.detach())
    except InputError:  # not a value that it takes
        return None
