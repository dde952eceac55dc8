"""Keys of `kdbench table` and `kdbench report`."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from kdbench.config.kinds import FIVE, Names, Settings


class TableSettings(Settings):
    """`kdbench table`: the comparison table from results and published numbers."""

    results: Path = Field(Path("results"), description="folder of the results")
    baselines: Path | None = Field(None, description="published.yaml (default: the bundled one)")
    published: Literal["verified", "all", "none"] = Field(
        "verified", description="reported rows to show; all adds the unverified ones"
    )
    settings: Names = Field(
        (), description="only these groups of rows, by id; measured means all measured ones"
    )
    rows: Names = Field(
        (), description="only these measured rows, by label, in this order (default: by name)"
    )
    tasks: Names = Field(FIVE, description="columns")
    metric: str = Field("rougeL", description="what the cells show")
    columns: Names = Field(
        (), description="TASK, AVG, METRIC (mean over tasks=) or TASK:METRIC; none means tasks, AVG"
    )
    error: Literal["ci", "sd", "both", "none"] = Field(
        "ci", description="95 % interval over prompts, standard deviation over seeds"
    )
    format: Literal["terminal", "md", "csv", "tex", "html"] | None = Field(
        None, description="of the output (default: by the ending of out=, else terminal)"
    )
    out: Path | None = Field(None, description="file to write; Markdown goes between its markers")
    block: str = Field(
        "table", description="of a Markdown file: between kdbench:begin BLOCK and end"
    )
    check: bool = Field(False, description="write nothing; exit 1 with a diff when out= is stale")


class ReportSettings(Settings):
    """`kdbench report`: pictures of how good students are beside how faithful."""

    results: Path = Field(Path("results"), description="folder of the results")
    out: Path = Field(Path("report"), description="folder of the report")
    baseline: str | None = Field(
        None, description="model or method that learned without a teacher; gains are against it"
    )
    tasks: Names = Field((), description="tasks by name; none given means all that are found")
    score: str = Field("rougeL", description="how good: the metric of gains")
    fidelity: str = Field("acceptance@student", description="how faithful: the metric of changes")
    level: bool = Field(False, description="draw gains over fidelity itself, not over its change")
