"""MLflow: `MLFLOW_TRACKING_URI` and `MLFLOW_EXPERIMENT_NAME` are the client's.

The client object is used, not the module's active run, which may be one of the caller's.
"""

import logging
import os
import re
import time
from collections.abc import Mapping
from typing import Any

from kdbench.trackers.tracker import PROJECT, SampleTable, TrackedRun, Tracker, flat, trackers

_LONGEST = 6000  # characters of a parameter
_BATCH = 100  # parameters in one request; of metrics 1,000 are allowed
_NAME = re.compile(r"[^\w\-. /]")  # what no server accepts in a name, such as the @ of top1@ref


@trackers.register("mlflow")
class MLflow(Tracker):
    """A run of MLflow."""

    package = extra = "mlflow"

    def __init__(self, client: Any, run: Any, experiment: str):
        import mlflow

        self._client, self.id = client, run.info.run_id
        self.place = f"{mlflow.get_tracking_uri()}, experiment {experiment}, run {self.id}"

    @classmethod
    def destination(cls, run: TrackedRun) -> str:
        """Server and experiment; without a server, MLflow writes into the working folder."""
        del run  # all runs go to one project
        return f"{os.environ.get('MLFLOW_TRACKING_URI') or os.getcwd()} {_experiment()}"

    @classmethod
    def prepare(cls) -> None:
        """Make the experiment and, without a server, the database."""
        _experiment_id(_client())

    @classmethod
    def open(cls, run: TrackedRun, known: str | None) -> "MLflow":
        """Open a run in the experiment, which is made if it does not exist."""
        client, name = _client(), _experiment()
        if known is not None:
            opened = client.get_run(known)
            client.update_run(known, status="RUNNING")
        else:
            place = _experiment_id(client)
            tags = {"kdbench.kind": run.kind, "kdbench.run_folder": str(run.folder)}
            if run.group is not None:
                tags["kdbench.group"] = run.group
            opened = client.create_run(place, run_name=run.name, tags=tags)
        tracker = cls(client, opened, name)
        tracker._log_parameters(run.config, opened.data.params)
        return tracker

    def _log_parameters(self, config: Mapping[str, Any], logged: Mapping[str, str]) -> None:
        """Log the parameters that the run does not have; MLflow lets none change."""
        from mlflow.entities import Param

        named = {_name(key): str(value)[:_LONGEST] for key, value in flat(config).items()}
        new = [Param(name, value) for name, value in named.items() if name not in logged]
        for start in range(0, len(new), _BATCH):
            self._client.log_batch(self.id, params=new[start : start + _BATCH])

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        """Log numbers of a step."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        entries = [Metric(_name(name), value, now, step) for name, value in metrics.items()]
        for start in range(0, len(entries), 1000):
            self._client.log_batch(self.id, metrics=entries[start : start + 1000])

    def summarise(self, metrics: Mapping[str, float], samples: SampleTable | None) -> None:
        """Log the numbers, and the samples as the table `samples.json`."""
        self.log(metrics, 0)
        if samples is not None:
            columns = list(zip(*samples.rows, strict=True)) or [()] * len(samples.columns)
            data = dict(zip(samples.columns, map(list, columns), strict=True))
            self._client.log_table(self.id, data, "samples.json")

    def close(self, failed: bool) -> None:
        """End the run."""
        self._client.set_terminated(self.id, "FAILED" if failed else "FINISHED")


def _client() -> Any:
    # The client tries for four minutes otherwise if there is no network.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")
    from mlflow import MlflowClient

    for logger in ("mlflow", "alembic"):  # after the import, which sets it
        logging.getLogger(logger).setLevel(logging.WARNING)
    return MlflowClient()


def _experiment_id(client: Any) -> str:
    experiment = client.get_experiment_by_name(_experiment())
    return str(experiment.experiment_id if experiment else client.create_experiment(_experiment()))


def _experiment() -> str:
    return os.environ.get("MLFLOW_EXPERIMENT_NAME") or PROJECT


def _name(name: str) -> str:
    return _NAME.sub("_", name)
