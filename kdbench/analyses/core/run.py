"""`kdbench analyse NAME`: do what is missing, conclude, and keep the answer."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from kdbench.analyses import analyses
from kdbench.analyses.core.analysis import Analysis
from kdbench.analyses.core.bench import AnalysisBench, StoppedAnalysis
from kdbench.store.conclusions import Conclusion, write_conclusion
from kdbench.system.files import put_bytes, put_text


@dataclass(frozen=True, repr=False)
class Analysed:
    """The outcome of an analysis; `print` shows its answer.

    Attributes:
        conclusion: The answer; None for a dry run, and if something failed.
        files: Files of the answer: JSON, Markdown and the figure's.
        notes: Lines of a dry run, or what failed.
        failed: What went wrong, by key of the node.
    """

    conclusion: Conclusion | None
    files: tuple[Path, ...] = ()
    notes: str = ""
    failed: Mapping[str, str] | None = None

    def __repr__(self) -> str:
        from kdbench.reports.conclusions import terminal_lines
        from kdbench.system.layout import output_width

        if self.conclusion is None:
            return self.notes.rstrip("\n")
        return "\n".join(terminal_lines(self.conclusion, output_width()))


def analyse(analysis: Analysis) -> Analysed:
    """Train and measure what an analysis lacks, conclude, and write the answer.

    Args:
        analysis: The analysis with its keys.

    Raises:
        InputError: A key, a model or the data are wrong.
    """
    name = name_of(analysis)
    try:
        bench = AnalysisBench(analysis, name, analysis.world_kind, analysis.needs_teacher)
        conclusion = analysis.run(bench)
    except StoppedAnalysis as stopped:
        return Analysed(None, notes=stopped.notes, failed=stopped.failed)
    models = {} if bench.used_world is None else {"models": bench.used_world}
    settings = {**conclusion.settings, **models}
    conclusion = conclusion.model_copy(update={"name": name, "settings": settings})
    if analysis.dry_run:
        return Analysed(None, notes="everything is done: without --dry-run it is concluded\n")
    return _kept(conclusion, analysis.results)


def name_of(analysis: Analysis) -> str:
    """The name under which the class of an analysis is registered."""
    return next(name for name in analyses.names() if analyses.get(name) is type(analysis))


def _kept(conclusion: Conclusion, folder: Path) -> Analysed:
    """Write a conclusion and its forms; the JSON comes last, and makes it valid."""
    from kdbench.reports.conclusion_figure import THEMES, draw_conclusion
    from kdbench.reports.conclusions import markdown

    name, files = conclusion.name, []
    if conclusion.panels:
        for theme in THEMES:
            file = folder / (f"{name}.svg" if theme == "light" else f"{name}-{theme}.svg")
            put_bytes(file, draw_conclusion(conclusion, theme).svg)
            files.append(file)
    page = folder / f"{name}.md"
    put_text(page, markdown(conclusion, [file.name for file in files]))
    stored = write_conclusion(folder, conclusion)
    return Analysed(stored, (folder / f"{name}.json", page, *files))
