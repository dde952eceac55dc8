"""`kdbench report`: the site, the figures and the numbers in one folder."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kdbench.config import ReportSettings, ServingKeys
from kdbench.config.analysing import ShownAnalysesKeys
from kdbench.config.kinds import given_keys
from kdbench.errors import InputError
from kdbench.reports import Figures, rows
from kdbench.reports.figures import PICTURES
from kdbench.reports.model import Findings
from kdbench.site.page import Page
from kdbench.site.pages import make_pages
from kdbench.site.source import SiteSource, read_source
from kdbench.site.write import INDEX, SiteFile, remove_stale, site_files, write_files
from kdbench.system.files import read_json, write_json
from kdbench.system.outputs import STANDARD_OUTPUT
from kdbench.version import __version__

if TYPE_CHECKING:
    import pandas as pd

_NUMBERS = "report.json"
_FIGURES = "figures"
_LOADED = ("static", "vendor", "data")
_OF_OLD_REPORTS = tuple(f"{name}.{end}" for name in PICTURES for end in ("png", "svg", "csv"))


@dataclass(frozen=True)
class Report:
    """A report that has been written.

    Attributes:
        findings: Its numbers; None if no student was compared with a teacher.
        files: Paths of its files, in the order in which they were written.
        why_no_findings: Why there are none, in one line.
    """

    findings: Findings | None = field(repr=False)
    files: tuple[Path, ...]
    why_no_findings: str = ""

    @property
    def named_files(self) -> list[Path]:
        """The files that a reader opens: all but those that the page loads, the page first."""
        opened = [file for file in self.files if file.parent.name not in _LOADED]
        return sorted(opened, key=lambda file: file.name != INDEX)

    def to_pandas(self, name: str = "gain") -> "pd.DataFrame":
        """Return the numbers of a picture as a data frame; see `report_frame`."""
        from kdbench.reports.frames import report_frame

        return report_frame(self.findings, name)


def make_report(settings: ReportSettings) -> Report:
    """Read the results, and write the site, its figures and its numbers.

    Raises:
        InputError: `out=` is no folder, or as `read_source` raises it; nothing is written then.
    """
    if settings.out == STANDARD_OUTPUT:
        raise InputError("out=-: a report is a folder of files; name a folder")
    if settings.out.exists() and not settings.out.is_dir():
        raise InputError(f"out={settings.out}: exists and is not a folder")
    source = read_source(settings)
    pages = make_pages(source)
    written = write_files(settings.out, _contents(source, pages))
    numbers = settings.out / _NUMBERS
    earlier = _earlier(numbers)
    names = [path.relative_to(settings.out).as_posix() for path in written]
    write_json(numbers, {**_numbers(source), "files": sorted(names)})
    remove_stale(settings.out, earlier, written)
    findings = source.figures.findings if source.figures else None
    return Report(findings, (*written, numbers), source.why_no_figures)


def _contents(source: SiteSource, pages: Sequence[Page]) -> Iterator[SiteFile]:
    if source.figures is not None and not source.settings.single_file:
        for name, content in source.figures.content():
            yield f"{_FIGURES}/{name}", content
    yield from site_files(pages, title_of(source), footer(source), source.settings.single_file)


def _earlier(numbers: Path) -> Sequence[str]:
    """Names of the files of the report that is in the folder."""
    if not numbers.exists():
        return ()
    try:
        files = read_json(numbers).get("files", _OF_OLD_REPORTS)
    except InputError:  # not a report, so nothing here is ours to delete
        return ()
    return [name for name in files if isinstance(name, str)] if isinstance(files, list) else files


def title_of(source: SiteSource) -> str:
    """The title of the site."""
    if source.figures is None:
        return "kdbench"
    return f"Students of {source.figures.findings.teacher}"


def footer(source: SiteSource) -> list[str]:
    """Lines below every page: the version of kdbench, and when the results were made."""
    days = sorted(day for run in source.runs if (day := str(run.record.get("created") or "")[:10]))
    when = f"; results of {days[0]}" if days else ""
    when += f" to {days[-1]}" if days and days[-1] != days[0] else ""
    return [f"kdbench {__version__}{when}"]


def shown_settings(settings: ReportSettings, figures: Figures | None) -> dict[str, Any]:
    """The settings of a report as JSON values, with the metrics that were chosen by default."""
    optional = {*ServingKeys.model_fields, *ShownAnalysesKeys.model_fields}
    given = optional & set(given_keys(settings))
    hidden = {"out", "dry_run", "single_file", *optional} - given
    shown = settings.model_dump(mode="json", exclude=hidden)
    if figures is not None:
        used = {"score": figures.findings.score.name, "fidelity": figures.findings.fidelity.name}
        shown |= {k: name for k, name in used.items() if k not in given_keys(settings)}
    return shown


def _numbers(source: SiteSource) -> dict[str, Any]:
    """The content of report.json."""
    figures = source.figures
    shown = shown_settings(source.settings, figures)
    if figures is None:
        return {"schema": 1, "settings": shown, "left_out": [f"figures: {source.why_no_figures}"]}
    return dict(rows.as_json(figures.findings, shown, figures.tables))
