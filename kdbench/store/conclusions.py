"""What an analysis concludes, as it is stored: sentences, tables and the panels of a figure.

    <results>/<analysis>.json    a conclusion, in this schema
    <results>/<analysis>.md      the same for people, with the figure's files next to it
    <results>/<analysis>/        results of the models that the analysis trained

Equal conclusions have equal bytes: they hold no times and no paths.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from kdbench.errors import InputError
from kdbench.stats.over_seeds import SeedMean
from kdbench.system.files import SCHEMA, read_json, write_json
from kdbench.system.records import read_record


def _whole(value: object) -> object:
    """A list of JSON is a tuple."""
    return tuple(value) if isinstance(value, list) else value


PointNumbers = Annotated[tuple[float, ...], BeforeValidator(_whole)]
PointNames = Annotated[tuple[str, ...], BeforeValidator(_whole)]


class ConclusionPart(BaseModel):
    """A part of a conclusion."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    later: ClassVar[frozenset[str]] = frozenset()
    """Fields that earlier files lack, and that are stored where they are used."""

    @model_serializer(mode="wrap")
    def _without_unused(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        values: dict[str, Any] = write(self)
        return {key: value for key, value in values.items() if value or key not in self.later}


class Quantity(ConclusionPart):
    """A number of a table.

    Attributes:
        value: The number, a mean over training seeds if there are several.
        low: Lower end of its 95 % interval; None if there is none.
        high: Upper end.
        n: Training seeds, or other independent repetitions; 0 if it is no mean.
        p: P-value of a test that it is 0, corrected if there are several tests.
    """

    value: float
    low: float | None = None
    high: float | None = None
    n: int = Field(0, ge=0)
    p: float | None = Field(None, ge=0, le=1)

    @classmethod
    def of(cls, found: SeedMean, p: float | None = None) -> "Quantity":
        """A mean over training seeds, or a difference; `p` is its corrected p-value."""
        return cls(value=found.value, low=found.low, high=found.high, n=len(found.seeds), p=p)


ConclusionCell = Quantity | str | None
"""A cell of a table: a number, a text, or nothing, where there is no number."""


class ConclusionColumn(ConclusionPart):
    """A column of a table.

    Attributes:
        title: Its title.
        unit: Unit of its numbers; empty for none.
        decimals: Decimals that are shown.
        signed: Whether numbers have their sign, as differences do.
    """

    title: str
    unit: str = ""
    decimals: int = Field(3, ge=0, le=9)
    signed: bool = False


class ConclusionTable(ConclusionPart):
    """A table.

    Attributes:
        title: Its title.
        columns: Its columns.
        rows: Its rows, of as many cells.
    """

    title: str
    columns: tuple[ConclusionColumn, ...]
    rows: tuple[tuple[ConclusionCell, ...], ...]

    @model_validator(mode="after")
    def _is_rectangular(self) -> "ConclusionTable":
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(f"a row has {len(row)} cells, not {len(self.columns)}")
        return self


class PanelCurve(ConclusionPart):
    """A curve of a panel, or points.

    Attributes:
        label: Its name in the legend; curves with one name share a colour in all panels.
        x: Where its points are.
        y: Their heights.
        low: Lower ends of their 95 % intervals; empty if there are none.
        high: Upper ends.
        joined: Whether a line joins the points.
        left: Left ends of the intervals of x; empty if there are none.
        right: Right ends.
        names: Names of the points, each empty for a point that shows none; empty for no names.
    """

    later: ClassVar[frozenset[str]] = frozenset({"left", "right", "names"})

    label: str
    x: PointNumbers
    y: PointNumbers
    low: PointNumbers = ()
    high: PointNumbers = ()
    joined: bool = True
    left: PointNumbers = ()
    right: PointNumbers = ()
    names: PointNames = ()

    @model_validator(mode="after")
    def _has_equal_lengths(self) -> "PanelCurve":
        pairs = (self.low, self.high), (self.left, self.right)
        optional = [ends for pair in pairs for ends in pair if ends]
        if self.names:
            optional.append((0.0,) * len(self.names))
        lengths = {len(self.x), len(self.y), *map(len, optional)}
        if len(lengths) > 1 or not self.x or any(bool(a) != bool(b) for a, b in pairs):
            raise ValueError(f"the curve '{self.label}' has points without a number")
        return self


class Panel(ConclusionPart):
    """A panel of a figure.

    Attributes:
        title: Its title.
        x_label: What the x axis shows, with its unit.
        y_label: What the y axis shows, with its unit.
        curves: What is drawn.
        log_x: Whether the x axis is logarithmic.
        log_y: Whether the y axis is.
        bars: Names of horizontal bars from the top, if the panel shows them: each curve is then a
            part of all bars, of the lengths y, and x are their places from 0.
        crossed: Whether lines mark 0 on both axes.
    """

    later: ClassVar[frozenset[str]] = frozenset({"bars", "crossed"})

    title: str
    x_label: str
    y_label: str
    curves: tuple[PanelCurve, ...] = Field(min_length=1)
    log_x: bool = False
    log_y: bool = False
    bars: PointNames = ()
    crossed: bool = False

    @model_validator(mode="after")
    def _fits_its_axes(self) -> "Panel":
        for curve in self.curves:
            if self.bars and curve.x != tuple(range(len(self.bars))):
                raise ValueError(f"the part '{curve.label}' is not of all bars")
            if (self.log_x and min(curve.x) <= 0) or (self.log_y and min(curve.y) <= 0):
                raise ValueError(f"the curve '{curve.label}' has points that no log axis shows")
        return self


class Conclusion(ConclusionPart):
    """What an analysis concludes.

    Attributes:
        name: Name of the analysis.
        title: Its title.
        question: The question that it answers.
        paper: Where the question comes from.
        basis: What the analysis was written from, such as `abstract`.
        settings: Its keys, as texts, those that decide the numbers.
        sentences: What was found, one or two sentences.
        tables: The numbers.
        panels: The panels of the figure; without any there is no figure.
        notes: How to read the numbers, and what limits them.
    """

    name: str
    title: str
    question: str
    paper: str
    basis: str
    settings: dict[str, str]
    sentences: tuple[str, ...] = Field(min_length=1)
    tables: tuple[ConclusionTable, ...] = ()
    panels: tuple[Panel, ...] = ()
    notes: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The conclusion as JSON values."""
        return {"schema": SCHEMA, **self.model_dump(mode="json")}


class _StoredConclusion(Conclusion):
    """The file of a conclusion."""

    schema_: int = Field(alias="schema")


def write_conclusion(folder: Path, conclusion: Conclusion) -> Conclusion:
    """Replace the file of a conclusion, and return it as stored there, rounded."""
    file = conclusion_file(folder, conclusion.name)
    write_json(file, conclusion.as_json())
    return read_conclusion(file)


def conclusion_file(folder: Path, name: str) -> Path:
    """The file of an analysis's conclusion."""
    return folder / f"{name}.json"


def read_conclusion(file: Path) -> Conclusion:
    """Read a stored conclusion.

    Raises:
        InputError: The file cannot be read, or does not hold one.
    """
    read_json(file)
    stored = read_record(file, _StoredConclusion)
    if stored.name != file.stem:
        raise InputError(f"{file}: is of the analysis '{stored.name}'; name it {stored.name}.json")
    return Conclusion(**{name: getattr(stored, name) for name in Conclusion.model_fields})


def stored_conclusions(folder: Path) -> Iterator[Conclusion]:
    """The conclusions in a folder, by name; none if there is no such folder.

    Raises:
        InputError: A file of the folder is no conclusion.
    """
    for file in sorted(folder.glob("*.json")):
        yield read_conclusion(file)


def columns_of(*titles: str | ConclusionColumn) -> Sequence[ConclusionColumn]:
    """Columns from titles alone, for those of texts."""
    return tuple(
        ConclusionColumn(title=title) if isinstance(title, str) else title for title in titles
    )
