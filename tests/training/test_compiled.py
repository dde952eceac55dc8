"""The loss of a chunk under torch.compile: equal, compiled once, and eager where it cannot be."""

import shutil

import pytest
import torch

from kdbench.testing import cases_of, facts
from kdbench.training import CrossEntropy, Match, Term, Triple
from kdbench.training.chunk import Chunk
from kdbench.training.compiled import ChunkCompiler, compiler_for


class Untraceable(CrossEntropy):
    """Cross-entropy that looks at a value."""

    def token(self, chunk: Chunk) -> torch.Tensor:
        loss = super().token(chunk)
        return loss if bool(loss.detach().sum() > 0) else 2 * loss


@pytest.mark.skipif(not (shutil.which("g++") or shutil.which("clang++")), reason="needs C++")
@pytest.mark.filterwarnings("ignore")  # torch's own
@pytest.mark.parametrize("objective", [Match(), CrossEntropy()], ids=str)
def test_kernels_of_inductor_give_the_same(objective) -> None:
    (case, *_) = cases_of(Triple(objective), "inductor")
    facts.the_compiled_loss_is_equal_and_is_compiled_once(case, "inductor")


def test_what_cannot_be_compiled_runs_eagerly_with_one_line(capsys) -> None:
    triple = Triple([Term(Untraceable())])
    (case,) = cases_of(triple, "eager")
    compiler = ChunkCompiler(enabled=True, backend="eager")
    rows, parts = case.rollouts(), case.parts()
    views = case.views(rows)
    for _ in range(2):
        value = case.loss(rows, views, parts, chunk=4, compiler=compiler).value
        torch.testing.assert_close(value, case.loss(rows, views, parts).value)
    err = capsys.readouterr().err
    assert err.count("note: the loss is not compiled, which is slower: ") == 1
    assert len(err.splitlines()) == 1
    assert len(compiler.failures) == 1


def test_one_that_cannot_be_compiled_leaves_the_others_compiled(capsys) -> None:
    compiler = ChunkCompiler(enabled=True, backend="eager")
    for triple in (Triple(Untraceable()), Triple(CrossEntropy())):
        (case,) = cases_of(triple, "x")
        rows = case.rollouts()
        case.loss(rows, case.views(rows), {}, chunk=4, compiler=compiler)
    assert len(compiler.failures) == 1
    assert capsys.readouterr().err.count("\n") == 1


def function_of(number: int):
    def function(x: torch.Tensor) -> torch.Tensor:
        return x * number

    return function


def test_more_functions_of_one_code_are_compiled_than_torch_counts_by_default(capsys) -> None:
    """All objectives share the code of a chunk's loss, by which torch counts."""
    torch._dynamo.reset()
    compiler = ChunkCompiler(enabled=True, backend="eager")
    for number in range(12):
        result = compiler(number, function_of(number), torch.ones(2))
        assert torch.equal(result, number * torch.ones(2))
    assert compiler.failures == []
    assert capsys.readouterr().err == ""


def test_too_many_variants_run_eagerly(monkeypatch, capsys) -> None:
    monkeypatch.setattr("kdbench.training.compiled._MOST_VARIANTS", 2)
    torch._dynamo.reset()
    compiler = ChunkCompiler(enabled=True, backend="eager")
    for word in ("a", "bb", "ccc", "dddd"):
        result = compiler("length", lambda x, text: x * len(text), torch.ones(2), word)
        assert torch.equal(result, len(word) * torch.ones(2))
    assert capsys.readouterr().err.count("note: the loss is not compiled") == 1


def test_it_compiles_on_a_gpu_unless_the_setting_says_otherwise() -> None:
    assert not compiler_for("cpu").enabled
    assert compiler_for("cpu", True).enabled
    assert compiler_for("cuda").enabled
    assert not compiler_for("cuda", False).enabled


def test_a_backward_pass_that_fails_runs_eagerly_with_one_line(capsys) -> None:
    """Its kernels may be made, and fail, only when it is first run."""

    class Broken(torch.autograd.Function):
        @staticmethod
        def forward(_, x):
            return x.clone()

        @staticmethod
        def backward(_, __):
            raise RuntimeError("no kernel")

    def compiled(graph, _):
        return lambda *inputs: [
            Broken.apply(x) if x.requires_grad else x for x in graph.forward(*inputs)
        ]

    torch._dynamo.reset()
    (case,) = cases_of(Triple(CrossEntropy()), "broken")
    compiler, rows = ChunkCompiler(enabled=True, backend=compiled), case.rollouts()
    views = case.views(rows)
    value = case.loss(rows, views, {}, chunk=4, compiler=compiler).value
    plain = case.loss(rows, views, {}).value
    torch.testing.assert_close(value, plain)
    leaves = views["student"].leaves
    gradients = [
        torch.autograd.grad(loss, leaves, materialize_grads=True, allow_unused=True)
        for loss in (value, plain)
    ]
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other)
    assert "no kernel" in capsys.readouterr().err
    assert len(compiler.failures) == 1
