"""How far each method's loss and gradient are from plain autograd over all logits in float64.

`PYTHONPATH=. python tests/helpers/equal_losses.py [BACKEND]` prints a table: the largest absolute
difference of loss and gradient, eager in float64 and float32, and compiled in float32.
"""

import sys

import torch

from kdbench.methods import methods
from kdbench.testing import Case, cases_of
from kdbench.testing.facts import gradients_of_loss
from kdbench.testing.reference import reference_loss
from kdbench.training.compiled import ChunkCompiler


def difference(case: Case, dtype: torch.dtype, compiler: ChunkCompiler | None) -> float:
    """The largest difference of the loss and of any entry of its gradients."""
    rows = case.rollouts((9, 4, 17, 12))
    exact, exactly = case.parts(), case.views(rows)
    parts, views = case.parts(dtype), case.views(rows, dtype)
    expected = reference_loss(case, rows, exactly, exact)
    value = case.loss(rows, views, parts, chunk=8, compiler=compiler).value
    pairs = zip(
        [value.detach(), *gradients_of_loss(value, views, parts)],
        [expected.detach(), *gradients_of_loss(expected, exactly, exact)],
        strict=True,
    )
    return max(float((ours.double() - right).abs().max()) for ours, right in pairs)


def main(backend: str) -> None:
    """Print the table."""
    sys.stdout.write(f"| term | float64 | float32 | float32, {backend} |\n|:--|--:|--:|--:|\n")
    seen = set()
    for name in methods.names():
        for case in cases_of(methods.get(name)(), name):
            if str(case.term.objective) in seen or case.top_k:
                continue
            seen.add(str(case.term.objective))
            compiler = ChunkCompiler(enabled=True, backend=backend)
            columns = [
                difference(case, torch.float64, None),
                difference(case, torch.float32, None),
                difference(case, torch.float32, compiler),
            ]
            note = " (eager)" if compiler.failures else ""
            cells = " | ".join(f"{column:.1e}" for column in columns)
            sys.stdout.write(f"| {case.term.objective} | {cells}{note} |\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main(*(sys.argv[1:] or ["inductor"]))
