"""Weights & Biases: `WANDB_PROJECT`, `WANDB_ENTITY`, `WANDB_MODE` and `WANDB_DIR` are the client's.

The run's id follows from the run itself, so a resumed training continues its run, also when it is
synchronised later with `wandb sync`.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kdbench.trackers.tracker import (
    PROJECT,
    SampleTable,
    TrackedRun,
    Tracker,
    TrackerError,
    trackers,
)

_STEP = "train/global_step"  # as transformers names the axis
_WITHOUT_LOGIN = {"offline", "dryrun", "disabled"}


@trackers.register("wandb")
class Wandb(Tracker):
    """A run of Weights & Biases."""

    package = extra = "wandb"

    def __init__(self, run: Any, key: str):
        self._run, self.id = run, key
        # Asked only online: the client warns about it offline.
        self.place = f"wandb sync {Path(run.dir).parent}" if run.offline else str(run.url)

    @classmethod
    def destination(cls, run: TrackedRun) -> str:
        """Server, entity and project, and whether the run waits on this disk."""
        del run  # all runs go to one project
        server = os.environ.get("WANDB_BASE_URL", "")
        entity = os.environ.get("WANDB_ENTITY", "")
        return f"{server} {entity}/{_project()} {os.environ.get('WANDB_MODE', '')}".strip()

    @classmethod
    def open(cls, run: TrackedRun, known: str | None) -> "Wandb":
        """Open a run of its own, also beside one that the caller has open."""
        import wandb

        mode = wandb.setup().settings.mode
        if mode not in _WITHOUT_LOGIN and not wandb.login(prompt=False):
            # The client would ask on the terminal, or raise a page of text.
            raise TrackerError("not logged in: run wandb login, or set WANDB_MODE=offline")
        opened = wandb.init(
            project=_project(),
            id=known or run.key,
            resume="allow",
            reinit="create_new",
            name=run.name,
            group=run.group,
            job_type=run.kind,
            config={**run.config, "run_folder": str(run.folder)},
            settings=wandb.Settings(console="off", silent=True),
        )
        opened.define_metric(_STEP)
        opened.define_metric("*", step_metric=_STEP, step_sync=True)
        return cls(opened, known or run.key)

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        """Log numbers against the step of the training."""
        self._run.log({**metrics, _STEP: step})

    def summarise(self, metrics: Mapping[str, float], samples: SampleTable | None) -> None:
        """Set the summary, and log the samples as a table."""
        import wandb

        if samples is not None:
            rows = [list(row) for row in samples.rows]
            table = wandb.Table(columns=list(samples.columns), data=rows, allow_mixed_types=True)
            self._run.log({"samples": table})
        self._run.summary.update(dict(metrics))

    def close(self, failed: bool) -> None:
        """Finish the run."""
        self._run.finish(exit_code=int(failed))


def _project() -> str:
    return os.environ.get("WANDB_PROJECT") or PROJECT
