"""Where the data of the papers' tasks are on the Hub, and whether they have been downloaded."""

from dataclasses import dataclass

from kdbench.system.safe_yaml import read_yaml_file
from kdbench.task.early import is_of_papers
from kdbench.task.load import known_tasks


@dataclass(frozen=True)
class HubFile:
    """A file of a data set on the Hub.

    Attributes:
        repository: Name of the data set.
        name: The file in it.
        revision: Its branch, tag or commit.
    """

    repository: str
    name: str
    revision: str = "main"

    def is_cached(self) -> bool:
        """Whether it is on this disk; the Hub is not asked."""
        from huggingface_hub import try_to_load_from_cache

        place = try_to_load_from_cache(
            self.repository, self.name, revision=self.revision, repo_type="dataset"
        )
        return isinstance(place, str)


def hub_file(task: str) -> HubFile | None:
    """The file that holds the documents of one of the papers' tasks; None for any other task.

    Args:
        task: Name of a task.
    """
    path = known_tasks().get(task)
    if path is None or not is_of_papers(path):
        return None
    keys = read_yaml_file(path)["dataset_kwargs"]
    return HubFile(keys["repository"], keys["file"], keys.get("revision", "main"))
