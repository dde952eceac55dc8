"""What can be checked of an evaluation's settings before torch and lm-eval are imported.

A wrong name then costs no more than a fraction of a second, and not the reading of data sets or the
hashing of another model. What is checked here is checked again where it is used.
"""

from collections.abc import Iterator
from typing import NamedTuple

from kdbench.checkpoint import check_checkpoint
from kdbench.config import CACHE, EvalSettings, is_on_server
from kdbench.config.judge import OPENAI
from kdbench.generate.choice import choose_backend
from kdbench.metrics import make_metrics
from kdbench.protocol import get_protocol
from kdbench.task import check_tasks


class _Named(NamedTuple):
    """A checkpoint that a key names."""

    key: str
    model: str
    revision: str | None = None


def check_early(settings: EvalSettings) -> None:
    """Check names and paths: protocol, metrics, backend, tasks, data sets and checkpoints.

    Raises:
        InputError: One of them does not exist, or a checkpoint is incomplete.
    """
    protocol = get_protocol(settings.protocol, settings.protocol_overrides())
    make_metrics(settings.metric_names(), len(protocol.seeds))
    chosen = choose_backend(settings.backend, settings.backend_options)
    check_tasks(settings.tasks, settings.data)
    for named in _checkpoints(settings, chosen.is_served):
        check_checkpoint(named.model, named.revision, settings.unsafe_pickle, named.key)


def _checkpoints(settings: EvalSettings, is_served: bool) -> Iterator[_Named]:
    """The checkpoints that an evaluation loads; those on a server are only names."""
    if settings.judge is not None and not settings.judge.startswith(OPENAI):
        yield _Named("judge", settings.judge)
    if is_served:
        return
    yield _Named("model", settings.model, settings.revision)
    is_elsewhere = is_on_server(settings.teacher) or str(settings.teacher).startswith(CACHE)
    if settings.teacher is not None and not is_elsewhere:
        yield _Named("teacher", settings.teacher, settings.teacher_revision)
    if settings.undistilled is not None:
        yield _Named("undistilled", settings.undistilled)
