"""Keys of `kdbench table` and `kdbench report`."""

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from kdbench.config.analysing import ShownAnalysesKeys
from kdbench.config.kinds import FIVE, DryRunKeys, Names, OptionMap, Settings, given_keys
from kdbench.config.plugins import PluginKeys
from kdbench.config.storage import StorageKeys

VIEW_PORT = 7117
"""Default port of `kdbench view`."""


class RowKeys(Settings, group="Rows"):
    """Which rows a table shows."""

    results: Path = Field(Path("results"), description="Folder of the results")
    rows: Names = Field(
        (), description="Measured rows to show, by label and in this order (default: all, by name)"
    )
    settings: Names = Field(
        (),
        description="Settings to show, by id: each is a group of rows that compare, which eval and "
        "train name with setting=; measured shows every measured one (default: all)",
    )
    published: Literal["verified", "second_hand", "all", "none"] = Field(
        "none",
        description="Published rows to show, as papers report them; second_hand includes what a "
        "third party quotes, all also unverified ones (default none, or verified with settings= or "
        "baselines=)",
    )
    baselines: Path | None = Field(
        None, description="File of published numbers (default: the bundled published.yaml)"
    )
    spread: bool = Field(
        False,
        description="Draw each measured score next to the published one of its row's name, and the "
        "lowest and highest that papers give, of the groups in settings=",
    )


class ColumnKeys(Settings, group="Columns"):
    """What the cells of a table show."""

    tasks: Names = Field(FIVE, description="Tasks to show as columns")
    metric: str = Field("rougeL", description="Metric shown in the cells")
    columns: Names = Field(
        (),
        description="Columns to show: TASK, AVG, METRIC (its mean over tasks=), TASK:METRIC, "
        "log:NAME (a value of the training log) or judging for a judge's main metrics (default: "
        "the tasks and AVG)",
    )
    by: Literal["category"] | None = Field(
        None,
        description="Set to category to add a group of rows for each category of prompts, below "
        "that of all prompts",
    )
    error: Literal["ci", "sd", "both", "none"] = Field(
        "ci",
        description="Error shown in the cells: 95 % interval over prompts, standard deviation "
        "over seeds, both or none (default ci, without it on a terminal that is too narrow)",
    )
    sort: str | None = Field(
        None,
        description="Column by which the rows of each group are sorted, best first, as in sort=AVG "
        "or sort=acceptance; sort=-AVG turns the order round (default: by name)",
    )


class ServingKeys(Settings, group="Serving"):
    """What a model costs to serve, as kdbench speed measured it."""

    price: float | None = Field(
        None,
        gt=0,
        le=1e9,
        description="Price of the machine per hour, in any currency; turns tokens a "
        "second into a cost",
    )
    load: OptionMap = Field(
        {},
        description="Load whose speeds are shown, as in concurrency=8,new_tokens=128 (default: the "
        "one that most rows have)",
    )


class TableOutputKeys(Settings, group="Output"):
    """Where and in which format a table is written."""

    out: Path | None = Field(
        None,
        description="File to write; in a Markdown file, only the text between the markers of "
        "block= is replaced (default: the terminal)",
    )
    format: Literal["terminal", "md", "csv", "json", "tex", "html"] | None = Field(
        None, description="Output format (default: that of the file ending, else terminal)"
    )
    block: str = Field(
        "table",
        description="Name of the markers in a Markdown file: <!-- kdbench:begin NAME --> and "
        "<!-- kdbench:end NAME -->",
    )
    details: bool = Field(
        True,
        description="Whether a document lists run, protocol, seeds, date, machine and command of "
        "each row",
    )
    check: bool = Field(
        False, description="Dry run for CI: print a diff and exit with 1 if the file is stale"
    )


class TableSettings(
    RowKeys,
    ColumnKeys,
    ServingKeys,
    TableOutputKeys,
    DryRunKeys,
    StorageKeys,
    PluginKeys,
    positional=("results",),
):
    """`kdbench table`: the comparison table from results and published numbers."""

    @model_validator(mode="after")
    def _keys_take_effect(self) -> "TableSettings":
        given = given_keys(self)
        timed = {"tokens_per_second", "latency_p50", "latency_p95"} & set(self.columns)
        if "price" in given and "cost_per_million_tokens" not in self.columns:
            raise ValueError("price= needs columns=cost_per_million_tokens")
        if "load" in given and not timed and "cost_per_million_tokens" not in self.columns:
            raise ValueError("load= needs a column of speed, as in columns=tokens_per_second")
        if self.check and self.out is None:
            raise ValueError("check=true needs out=FILE, the table to compare with")
        form = self.format or (self.out and self.out.suffix.removeprefix("."))
        if "block" in given and (self.out is None or form != "md"):
            raise ValueError("block= needs out=FILE.md: only Markdown files have blocks")
        return self


class ReportKeys(Settings):
    """What a report shows."""

    results: Path = Field(Path("results"), description="Folder of the results")
    baseline: str | None = Field(
        None,
        description="Model, method or run folder that was trained without a teacher; gains are "
        "relative to it",
    )
    tasks: Names = Field((), description="Tasks to show, by name (default: all)")
    score: str = Field(
        "rougeL",
        description="Metric of quality, whose gains are plotted (if all tasks have final answers "
        "and one is scored by likelihood: answer_accuracy)",
    )
    fidelity: str = Field(
        "acceptance@student",
        description="Metric of fidelity, whose changes are plotted (if all tasks have final "
        "answers and one is scored by likelihood: answer_agreement)",
    )
    level: bool = Field(
        False, description="Plot gains against fidelity itself instead of its change"
    )
    runs: Path = Field(
        Path("runs"),
        description="Folder of checkpoints that kdbench train wrote, whose run cards and training "
        "curves are shown",
    )
    published: Literal["verified", "second_hand", "all", "none"] = Field(
        "none",
        description="Published rows of the leaderboard; second_hand includes what a third party "
        "quotes, all also unverified ones",
    )
    baselines: Path | None = Field(
        None, description="File of published numbers (default: the bundled published.yaml)"
    )


class ReportOutputKeys(Settings, group="Output"):
    """Where and in which form a report is written."""

    out: Path = Field(Path("report"), description="Folder of the report")
    single_file: bool = Field(
        False, description="Write one page that holds everything, without the folders next to it"
    )


class ReportSettings(
    ReportKeys,
    ShownAnalysesKeys,
    ReportOutputKeys,
    ServingKeys,
    DryRunKeys,
    StorageKeys,
    PluginKeys,
    positional=("results",),
):
    """`kdbench report`: a static site of the results, which opens from disk."""


class ViewKeys(Settings, group="Server"):
    """Where the site is served."""

    port: int = Field(
        VIEW_PORT, ge=0, le=65535, description="Port on this machine; 0 chooses a free one"
    )
    open: bool = Field(False, description="Open the site in a browser")


class ViewSettings(
    ReportKeys, ShownAnalysesKeys, ServingKeys, ViewKeys, PluginKeys, positional=("results",)
):
    """`kdbench view`: the site on this machine, rebuilt whenever results change."""

    @property
    def report(self) -> ReportSettings:
        """The settings of a report that shows the same."""
        keys = self.model_fields_set & set(ReportSettings.model_fields)
        return ReportSettings(**{key: getattr(self, key) for key in keys})
