"""What a table needs of the Hub that is not on this disk: checkpoints and data sets.

Only the Hub's cache is looked at, so a dry run needs no network.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from kdbench.checkpoint import is_hub_name, why_not_cached
from kdbench.errors import InputError
from kdbench.filling.graph import Graph
from kdbench.filling.nodes import CheckpointNode
from kdbench.filling.state import state_of
from kdbench.task.hub_data import hub_file
from kdbench.text import counted

_MOST_NAMED = 3


@dataclass(frozen=True)
class Download:
    """A checkpoint or a data set that has to be downloaded.

    Attributes:
        label: Label of the model, or name of the task.
        name: Its name on the Hub, with its revision after an `@` if the table names one.
        reason: What is wrong with the copy on this disk, or `not downloaded`.
        is_data: Whether it is a data set.
    """

    label: str
    name: str
    reason: str
    is_data: bool = False


def downloads(graph: Graph) -> list[Download]:
    """What the missing work needs of the Hub, checkpoints first.

    Args:
        graph: Graph of the table.
    """
    given = [node for node in graph.nodes.values() if isinstance(node, CheckpointNode)]
    on_hub = [node for node in given if is_hub_name(str(node.place))]
    if not on_hub and graph.places.data is not None:
        return []  # the state of a large table takes seconds to read
    state = state_of(graph)
    wanted = [node for node in graph.nodes.values() if node.key in state.wanted]
    needed = {key for node in wanted for key in node.needs}
    found = [
        Download(node.label, str(node.place), reason)
        for node in on_hub
        if node.key in needed
        if (reason := why_not_cached(str(node.place), node.unsafe_pickle)) is not None
    ]
    if wanted and graph.places.data is None:
        found += _data_sets((*graph.spec.tasks, *graph.spec.extra_tasks))
    return found


def _data_sets(tasks: Sequence[str]) -> Iterator[Download]:
    for task in dict.fromkeys(tasks):
        file = hub_file(task)
        if file is not None and not file.is_cached():
            name = f"datasets/{file.repository}/{file.name}"
            yield Download(task, name, "not downloaded", is_data=True)


def check_downloads(missing: Sequence[Download]) -> None:
    """Check that nothing is missing if the Hub must not be asked.

    Args:
        missing: What is missing.

    Raises:
        InputError: Something is, and `HF_HUB_OFFLINE` is set.
    """
    if not missing:
        return
    from huggingface_hub.constants import is_offline_mode

    if not is_offline_mode():
        return
    names = [download.name for download in missing[:_MOST_NAMED]]
    more = len(missing) - len(names)
    raise InputError(
        f"HF_HUB_OFFLINE is set, and {_counted(missing)} are not in the Hub's cache: "
        f"{', '.join(names)}{f' and {more} more' if more else ''}; --plan lists them"
    )


def download_lines(missing: Sequence[Download]) -> Iterator[str]:
    """The lines of a dry run about what is missing; none if nothing is.

    Args:
        missing: What is missing.
    """
    if not missing:
        return
    from huggingface_hub.constants import HF_HUB_CACHE

    yield f"to download: {_counted(missing)} of the Hub are not in its cache, {HF_HUB_CACHE}"
    label, name = (max(len(getattr(d, key)) for d in missing) for key in ("label", "name"))
    for download in missing:
        reason = "" if download.reason == "not downloaded" else download.reason
        yield f"  {download.label:<{label}}  {download.name:<{name}}  {reason}".rstrip()
    yield "kdbench fill downloads them; docs/papers-pair.md says what to do without a network"


def _counted(missing: Sequence[Download]) -> str:
    sets = sum(download.is_data for download in missing)
    models = len(missing) - sets
    counts = [(models, "checkpoint"), (sets, "data set")]
    return " and ".join(counted(number, noun) for number, noun in counts if number)
