"""The bench of an analysis: the world on which it trains, and tables that are filled there."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from kdbench.analyses.core.filled import FilledRows
from kdbench.config import FillSettings
from kdbench.config.analysing import AnalysisKeys
from kdbench.config.executor import ExecutorKeys
from kdbench.errors import InputError, nearest_path
from kdbench.filling.filled import Filled
from kdbench.filling.spec import make_spec
from kdbench.filling.table import fill_spec
from kdbench.filling.worlds import make_missing, world_lines, worlds
from kdbench.system.files import holds, put_bytes
from kdbench.task import data_folder


@dataclass(frozen=True)
class AnalysisWorld:
    """The models and data of an analysis.

    Attributes:
        kind: What it is, such as `toy`; for models of one's own `TEACHER → STUDENT`.
        student: Checkpoint from which students start.
        teacher: Teacher's checkpoint; None without one.
        data: Folder of the data sets.
        folder: Folder of the world, which may hold more; None for models of one's own.
    """

    kind: str
    student: str
    teacher: str | None
    data: Path | None
    folder: Path | None = None


class StoppedAnalysis(Exception):  # noqa: N818 - a dry run is no error
    """An analysis that cannot conclude yet: it is a dry run, or a node has failed.

    Attributes:
        notes: Lines to show.
        failed: What went wrong, by key of the node; empty for a dry run.
    """

    def __init__(self, notes: str, failed: Mapping[str, str]):
        super().__init__(notes)
        self.notes, self.failed = notes, dict(failed)


class AnalysisBench:
    """Where an analysis trains, measures and keeps files.

    Args:
        analysis: Keys of the analysis.
        name: Its name.
        world_kind: World that is made if the keys name no models.
        needs_teacher: Whether models of one's own must include a teacher.

    Attributes:
        name: The argument.
        models: Folder of the checkpoints and other files that it makes.
        results: Folder of the results of its tables.
    """

    def __init__(self, analysis: AnalysisKeys, name: str, world_kind: str, needs_teacher: bool):
        self._analysis, self.name = analysis, name
        self._world_kind, self._needs_teacher = world_kind, needs_teacher
        self.models, self.results = analysis.out / name, analysis.results / name
        for key, folder in (("out", analysis.out), ("results", analysis.results)):
            if folder.exists() and not folder.is_dir():
                raise InputError(f"{key}={folder}: is a file, not a folder")

    @property
    def used_world(self) -> str | None:
        """What the models are, such as `toy`; None if none was needed."""
        return self.world.kind if "world" in vars(self) else None

    @cached_property
    def world(self) -> AnalysisWorld:
        """The models and data; the toy world is made if it does not exist.

        Raises:
            InputError: A model or the data of one's own is missing.
            StoppedAnalysis: It is a dry run, and the toy world does not exist.
        """
        analysis = self._analysis
        own = {key: getattr(analysis, key) for key in ("teacher", "student", "data")}
        if any(value is not None for value in own.values()):
            return self._own_world()
        world = worlds.get(self._world_kind)(analysis.world)
        if analysis.world.exists() and not analysis.world.is_dir():
            raise InputError(f"world={analysis.world}: is a file; name a folder")
        if world.missing():
            if analysis.dry_run:
                lines = [*world_lines(world), f"then the trainings and evaluations of {self.name}"]
                raise StoppedAnalysis("".join(f"{line}\n" for line in lines), {})
            make_missing(world)
        folder = analysis.world
        models = str(folder / "student"), str(folder / "teacher")
        return AnalysisWorld(self._world_kind, *models, folder / "data", folder)

    def _own_world(self) -> AnalysisWorld:
        analysis = self._analysis
        needed = ["student", *(["teacher"] if self._needs_teacher else [])]
        for key in needed:
            if getattr(analysis, key) is None:
                raise InputError(
                    f"{key}= is missing: with models of your own give {', '.join(needed)} and data"
                )
        data = data_folder(analysis.data)
        if data is not None and not data.is_dir():
            raise InputError(f"data={data}: no such folder{nearest_path(data)}")
        assert analysis.student is not None  # noqa: S101 - refused above
        names = [Path(model).name for model in (analysis.teacher, analysis.student) if model]
        return AnalysisWorld(" → ".join(names), analysis.student, analysis.teacher, data)

    def keep(self, name: str, text: str) -> Path:
        """Write a file that tables need, such as a data set, unless it is there with this content.

        Args:
            name: Its name, below the folder of checkpoints.
            text: Its content.

        Raises:
            StoppedAnalysis: It is a dry run, and the file would be written.
        """
        file, content = self.models / name, text.encode()
        if not holds(file, [content]):
            if self._analysis.dry_run:
                lines = f"missing  {file}\nthen the trainings and evaluations of {self.name}\n"
                raise StoppedAnalysis(lines, {})
            put_bytes(file, content)
        return file

    def fill(self, table: Mapping[str, Any], name: str = "") -> FilledRows:
        """Train and measure what a table lacks.

        Args:
            table: Keys of a table's file; what it does not set is the world's or the analysis's.
            name: Name of the table, if the analysis has several; its results have their own folder.

        Raises:
            InputError: The table, a model or the data are wrong.
            StoppedAnalysis: It is a dry run and something is missing, or a node has failed.
        """
        place = f"{self.name} {name}".rstrip()
        spec = make_spec(self._with_defaults(table, place), f"analysis {place}", self._changes())
        settings = self._settings(name)
        if self._analysis.dry_run:
            planned = fill_spec(spec, settings.model_copy(update={"plan": True}), Path(place))
            if any(node.status == "missing" for node in planned.planned):
                raise StoppedAnalysis(planned.text, {})
        filled = fill_spec(spec, settings, Path(place))
        self._check(filled)
        return FilledRows(filled.rows, spec.tasks)

    def _with_defaults(self, table: Mapping[str, Any], place: str) -> dict[str, Any]:
        world = self.world
        defaults: dict[str, Any] = {
            "title": place,
            "teacher": {"label": "Teacher", "checkpoint": world.teacher},
            "student": {"label": "Student", "checkpoint": world.student},
            "data": world.data,
            "train_seeds": self._analysis.train_seeds,
        }
        if world.teacher is None:
            del defaults["teacher"]
        return {**defaults, **table}

    def _changes(self) -> dict[str, str]:
        """The keys of the command line that change a table."""
        analysis = self._analysis
        given = {} if analysis.steps is None else {"train.steps": str(analysis.steps)}
        given |= {} if analysis.limit is None else {"evaluate.limit": str(analysis.limit)}
        return {**given, **analysis.changes}

    def _settings(self, name: str) -> FillSettings:
        analysis = self._analysis
        run_keys = {key: getattr(analysis, key) for key in ExecutorKeys.model_fields}
        return FillSettings(
            table=self.name,
            models=self.models,
            results=self.results / name if name else self.results,
            device=analysis.device,
            plugins=analysis.plugins,
            **run_keys,
        )

    def _check(self, filled: Filled) -> None:
        """Refuse to conclude from a part of the results.

        Raises:
            StoppedAnalysis: A node has failed.
        """
        if filled.failed:
            lines = [f"failed: {key}: {reason}" for key, reason in filled.failed.items()]
            notes = [line for line in filled.notes.splitlines() if not line.startswith("table ")]
            raise StoppedAnalysis("".join(f"{line}\n" for line in notes or lines), filled.failed)
