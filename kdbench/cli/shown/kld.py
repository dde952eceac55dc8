"""A model and its teacher over plain text."""

from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any

from kdbench.cli.answer import VerbAnswer
from kdbench.cli.shown.printer import Printer
from kdbench.system.layout import GridCell
from kdbench.text import byte_size, counted

if TYPE_CHECKING:
    from kdbench.fidelity.plain.compare import ComparedModel, TextComparison
    from kdbench.fidelity.plain.figures import PlainFigure

_SHOWN = {0.5: "median", 0.9: "90 %", 0.99: "99 %", 0.999: "99.9 %", 1.0: "max"}
_LOW = {0.001: "0.1 %", 0.01: "1 %", 0.05: "5 %", 0.5: "median", 0.95: "95 %", 0.99: "99 %"}


def kld_answer(comparison: "TextComparison") -> VerbAnswer:
    """The answer of `kld`.

    Args:
        comparison: What was measured.
    """
    return VerbAnswer(partial(print_kld, comparison), partial(kld_document, comparison))


def print_kld(comparison: "TextComparison") -> None:
    """Print the figures."""
    figures, printer = comparison.figures, Printer()
    length = f"{counted(comparison.chunks, 'chunk')} of {comparison.context} tokens"
    printer.notes(
        [
            f"{_described(comparison.model)} compared with {_described(comparison.teacher)}",
            f"{comparison.text}: {length}, {figures.positions:,} positions",
        ]
    )
    printer.line("")
    rows: list[Sequence[GridCell]] = [
        ["", "mean", "error"],
        ["KL(teacher‖model), nats", *_cells(figures.kl, 6)],
        ["same top-1, %", *_cells(figures.same_top, 3)],
        ["Δp, %", *_cells(figures.p_change, 3)],
        ["RMS Δp, %", *_cells(figures.p_change_rms, 3)],
        ["perplexity of the model", *_cells(figures.perplexity, 4)],
        ["perplexity of the teacher", *_cells(figures.teacher_perplexity, 4)],
        ["ratio of perplexities", *_cells(figures.ratio, 5)],
    ]
    printer.table(rows)
    printer.table(
        [
            ["quantiles", *_SHOWN.values()],
            ["KL", *(f"{figures.kl_quantiles[at]:.6f}" for at in _SHOWN)],
        ]
    )
    printer.table(
        [
            ["quantiles", *(title for at, title in _LOW.items() if at in figures.kl_quantiles)],
            [
                "Δp, %",
                *(f"{value:.3f}" for at, value in figures.p_change_quantiles.items() if at in _LOW),
            ],
        ]
    )
    printer.close()
    printer.notes(["error: standard error with positions taken as independent, as in llama.cpp"])
    stored = comparison.chunks - comparison.measured
    place = "" if comparison.out is None else f"; values in {comparison.out}"
    printer.line(f"{comparison.measured} chunks measured now, {stored} before{place}")


def _cells(figure: "PlainFigure", decimals: int) -> list[str]:
    return [f"{figure.value:.{decimals}f}", f"{figure.error:.{decimals}f}"]


def _described(model: "ComparedModel") -> str:
    bits = model.bits_per_weight
    facts = [
        model.quantisation or "",
        "" if model.weight_bytes is None else byte_size(model.weight_bytes),
        "" if bits is None else f"{bits:.2f} bits a weight",
    ]
    inside = ", ".join(fact for fact in facts if fact)
    return f"{model.name} ({inside})" if inside else model.name


def kld_document(comparison: "TextComparison") -> dict[str, Any]:
    """The same, for JSON, with all quantiles."""
    models = {
        key: {**asdict(model), "bits_per_weight": model.bits_per_weight}
        for key, model in (("model", comparison.model), ("teacher", comparison.teacher))
    }
    return {
        **models,
        "text": comparison.text,
        "context": comparison.context,
        "chunks": comparison.chunks,
        "measured": comparison.measured,
        "out": comparison.out,
        "figures": comparison.figures.as_dict(),
    }
