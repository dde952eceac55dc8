"""The file of what papers and web pages report, `baselines/published.yaml`, and its schema."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from kdbench.errors import InputError, first_fault
from kdbench.system.bundled import bundled
from kdbench.system.safe_yaml import read_yaml_file

_NOT_PUBLISHED = "not a file of published numbers"
Points = Annotated[float, Field(strict=True, ge=0, le=100)]
Certainty = Literal["verified", "second_hand", "unverified"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class PublishedSource(_Strict):
    """A place where numbers were read."""

    title: str
    url: str
    note: str = ""


class PublishedJudge(_Strict):
    """A judge's grades of a row, as a share of those of the references, in points."""

    by: str
    values: dict[str, Points]
    certainty: Certainty | None = None


class PublishedRow(_Strict):
    """The numbers of one method in one place."""

    method: str
    known_as: str = ""
    role: Literal["student", "teacher", "composite"]
    source: str
    certainty: Certainty
    decimals: int = Field(ge=0, le=6)
    values: dict[str, Points]
    sd: dict[str, Points] = Field(default_factory=dict)
    unverified: tuple[str, ...] = ()
    second_hand: tuple[str, ...] = ()
    judge: PublishedJudge | None = None
    minutes: float | None = Field(default=None, gt=0)
    note: str = ""

    @property
    def name(self) -> str:
        """The name under which the literature knows the method."""
        return self.known_as or self.method

    def certainty_of(self, column: str) -> Certainty:
        """The certainty of a cell."""
        if column in self.unverified:
            return "unverified"
        return "second_hand" if column in self.second_hand else self.certainty


class PublishedSetting(_Strict):
    """The rows of one teacher and student."""

    id: str
    title: str
    teacher: str
    student: str
    note: str = ""
    rows: tuple[PublishedRow, ...]


class Published(_Strict):
    """A file of published numbers."""

    schema_: Literal[1] = Field(alias="schema")
    metric: str
    columns: tuple[str, ...]
    sources: dict[str, PublishedSource]
    settings: tuple[PublishedSetting, ...]


def read_published(path: Path | None) -> Published:
    """Read a file of published numbers.

    Args:
        path: YAML file; None for the bundled one.

    Raises:
        InputError: the file is not one of published numbers.
    """
    path = path or bundled("baselines") / "published.yaml"
    try:
        published = Published.model_validate(read_yaml_file(path))
    except OSError as error:
        raise InputError(f"baselines={path}: {error.strerror}") from None
    except ValidationError as error:
        field, reason = first_fault(error)
        raise InputError(f"{path}: {_NOT_PUBLISHED}: {field or 'file'}: {reason}") from None
    except ValueError as error:  # not YAML, not UTF-8, an impossible date …
        raise InputError(f"{path}: {_NOT_PUBLISHED}: {' '.join(str(error).split())}") from None
    for setting in published.settings:
        for row in setting.rows:
            _check_names(path, published, row)
    return published


def _check_names(path: Path, published: Published, row: PublishedRow) -> None:
    """Check names: a misspelt one would drop a number, or hide that it is unverified."""
    sources, columns, values = set(published.sources), set(published.columns), set(row.values)
    checks = [
        ("source", {row.source}, sources),
        ("values", values, columns),
        ("sd", set(row.sd), values),
        ("unverified", set(row.unverified), values),
        ("second_hand", set(row.second_hand), values),
        ("judge", set(row.judge.values if row.judge else ()), columns),
    ]
    for field, names, known in checks:
        for name in sorted(names - known):
            raise InputError(f"{path}: row '{row.method}': {field}: unknown name '{name}'")
