"""A task is an lm-evaluation-harness task: documents, prompts and references from its YAML.

lm-eval reads the YAML and its functions. Generation, storage and statistics are kdbench's own,
because lm-eval's seeds, repeats and error bars do not fit sampled evaluation. `keys` states what
becomes of each key of the YAML.
"""

from kdbench.task.early import check_tasks
from kdbench.task.load import (
    check_installed,
    data_folder,
    known_tasks,
    load_tasks,
    result_names,
    task_definition,
)
from kdbench.task.model import (
    NO_REFERENCES,
    TITLES,
    Document,
    GroupMean,
    Task,
    TaskGroup,
    task_title,
)
from kdbench.task.requests import gold_options, make_requests

__all__ = [
    "NO_REFERENCES",
    "TITLES",
    "Document",
    "GroupMean",
    "Task",
    "TaskGroup",
    "check_installed",
    "check_tasks",
    "data_folder",
    "gold_options",
    "known_tasks",
    "load_tasks",
    "make_requests",
    "result_names",
    "task_definition",
    "task_title",
]
