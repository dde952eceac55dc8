"""Writing the output files that the settings request."""

from kdbench.comparing.model import Comparison, RowTestMethod
from kdbench.comparing.outputs.junit import junit
from kdbench.comparing.outputs.markdown import markdown
from kdbench.comparing.outputs.numbers import numbers
from kdbench.comparing.settings import GateSettings
from kdbench.comparing.verdict import Problem
from kdbench.system.outputs import put_json_output, put_output


def write_outputs(
    settings: GateSettings,
    comparison: Comparison,
    gate: str,
) -> None:
    """Write the requested files.

    Args:
        settings: Paths of the files.
        comparison: Comparison to write.
        gate: Name of the gate, for the marker of the comment.
    """
    if settings.markdown is not None:
        put_output(settings.markdown, markdown(comparison, gate))
    if settings.junit is not None:
        put_output(settings.junit, junit(comparison))
    if settings.json_file is not None:
        put_json_output(settings.json_file, numbers(comparison))


def write_refusal(
    settings: GateSettings, base: str, new: str, problem: Problem, gate: str
) -> Comparison:
    """Write the requested files of a comparison that could not be made, so that CI has them.

    Args:
        settings: Paths of the files.
        base: Title of the base.
        new: Title of the run to judge.
        problem: Reason why the comparison could not be made.
        gate: Name of the gate.

    Returns:
        A comparison without rows.
    """
    empty = Comparison(base, new, (), (problem,), (), settings.rules, RowTestMethod(), {})
    write_outputs(settings, empty, gate)
    return empty
