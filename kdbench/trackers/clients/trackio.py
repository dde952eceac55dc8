"""trackio: `TRACKIO_PROJECT`, `TRACKIO_DIR` and `TRACKIO_SPACE_ID` are the client's."""

import io
import os
from collections.abc import Mapping
from contextlib import redirect_stdout
from typing import Any

from kdbench.trackers.tracker import PROJECT, SampleTable, TrackedRun, Tracker, trackers


@trackers.register("trackio")
class Trackio(Tracker):
    """A run of trackio."""

    package = extra = "trackio"

    def __init__(self, run: Any, name: str, project: str):
        self._run, self.id = run, name
        space = os.environ.get("TRACKIO_SPACE_ID")
        self.place = f"{space or 'trackio show'}, project {project}, run {name}"

    @classmethod
    def destination(cls, run: TrackedRun) -> str:
        """Folder or space, and project."""
        del run  # all runs go to one project
        place = os.environ.get("TRACKIO_SPACE_ID") or os.environ.get("TRACKIO_DIR", "")
        return f"{place} {_project()}".strip()

    @classmethod
    def open(cls, run: TrackedRun, known: str | None) -> "Trackio":
        """Open a run, which its name identifies."""
        import trackio

        name, project = known or f"{run.name}-{run.key[:8]}", _project()
        with redirect_stdout(io.StringIO()):  # standard output is that of the command
            opened = trackio.init(
                project=project,
                name=name,
                group=run.group,
                space_id=os.environ.get("TRACKIO_SPACE_ID"),
                config={**run.config, "kind": run.kind, "run_folder": str(run.folder)},
                resume="allow",
                embed=False,
                auto_log_gpu=False,
                auto_log_cpu=False,
            )
        return cls(opened, name, project)

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        """Log numbers of a step."""
        self._run.log(dict(metrics), step=step)

    def summarise(self, metrics: Mapping[str, float], samples: SampleTable | None) -> None:
        """Log the numbers, and the samples as a table."""
        import trackio

        values: dict[str, Any] = dict(metrics)
        if samples is not None:
            rows = [list(row) for row in samples.rows]
            values["samples"] = trackio.Table(columns=list(samples.columns), data=rows)
        self._run.log(values)

    def close(self, failed: bool) -> None:
        """Send what is left."""
        import trackio

        del failed  # a run of trackio has no status
        with redirect_stdout(io.StringIO()):
            trackio.finish()  # not the run's own, after which it would be finished at exit again


def _project() -> str:
    return os.environ.get("TRACKIO_PROJECT") or PROJECT
