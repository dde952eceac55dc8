"""Notes about data that a metric cannot see."""

from collections.abc import Collection

from kdbench.metrics.rouge import rouge_words
from kdbench.system.console import note_once
from kdbench.task import Task


def note_unseen_words(task: Task, metrics: Collection[str]) -> None:
    """Note references of which ROUGE-L sees no word, once for each task.

    Args:
        task: Task with the references.
        metrics: Names of the metrics that are measured.
    """
    if "rougeL" not in metrics or any(name.startswith("rougeL[") for name in metrics):
        return
    unseen = sum(
        any(char.isalnum() for text in document.references for char in text)
        and not any(rouge_words(text) for text in document.references)
        for document in task.documents
    )
    if unseen:
        note_once(
            f"note: rougeL sees no word in the references of {unseen} of {len(task.documents)} "
            f"documents of '{task.name}', because only a-z and 0-9 count; "
            "rouge_tokenizer=characters or rouge_tokenizer=unicode reads other scripts"
        )
