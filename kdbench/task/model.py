"""Tasks and their documents."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from kdbench.views.chat import ChatMessage, Description, Turn

TITLES = {
    "dolly": "Dolly",
    "self_instruct": "Self-inst",
    "vicuna": "Vicuna",
    "super_natural": "Super-Natural",
    "unnatural": "Unnatural",
}


def task_title(task: str) -> str:
    """The title of a task or group; its name if it has none."""
    return TITLES.get(task, task)


NO_REFERENCES = "the prompts have no references"
"""Why a metric that compares with references has no number."""


@dataclass(frozen=True)
class Document:
    """An item of a task: a prompt and its references.

    Attributes:
        id: Id, unique in the task; samples and scores are stored by it.
        prompt: Text of the prompt, as the task's YAML renders it; empty if the document is a
            conversation, which only a chat template renders.
        message: What a user would say: the prompt without the task's template. A conversation, or
            a prompt with a `gen_prefix`, is a tuple of chat turns.
        references: Reference responses; empty if the document has none.
        fields: Row of the data set, as the YAML's functions take it.
        category: Group of documents that this one is in; None if the data name none.
        turns: Turns for a chat template that the message lacks: the task's description and
            examples, and what the answer begins with.
        requests: What a task asks that is scored by likelihood: contexts and continuations, as
            lm-eval makes them without a chat template; empty if responses are generated.
    """

    id: str
    prompt: str
    message: ChatMessage
    references: tuple[str, ...]
    fields: Mapping[str, Any] = field(repr=False, compare=False)
    category: str | None = None
    turns: tuple[Turn | Description, ...] = ()
    requests: tuple[tuple[str, ...], ...] = ()

    @property
    def conversation(self) -> ChatMessage:
        """What a chat template renders: the turns if there are any, else the message."""
        return self.turns or self.message


@dataclass(frozen=True)
class GroupMean:
    """A metric that a group averages over its tasks.

    Attributes:
        metric: Name of the metric, without a filter.
        filters: Names of the filters; None for all that its tasks have.
        by_size: Whether a task weighs as much as it has documents; if not, all weigh the same.
    """

    metric: str
    filters: tuple[str, ...] | None
    by_size: bool


@dataclass(frozen=True)
class TaskGroup:
    """A group of lm-eval, which averages metrics over its tasks.

    Attributes:
        name: Name in results and columns.
        version: `metadata.version` of its YAML.
        tasks: Names of its tasks, those of its subgroups included.
        means: What it averages.
    """

    name: str
    version: str
    tasks: tuple[str, ...]
    means: tuple[GroupMean, ...]


@dataclass(frozen=True)
class Task:
    """A loaded task.

    Attributes:
        name: Name in results and columns.
        version: `metadata.version` of the YAML.
        documents: Documents to answer, after `limit`.
        until: Strings that end a response.
        data: `rows`, `used` and `sha256` of the whole set, and `published`: whether the content is
            that of the papers; None if their content is unknown.
        lm_eval: Object that lm-eval made of the YAML; None for a file of prompts.
        bundled: Whether the task comes with kdbench, so that its version identifies it.
        definition_sha256: For other tasks, SHA-256 of the YAML and the files in its folder.
        closed_answers: Whether a whole response is an answer, right or wrong:
            `metadata.closed_answers` of the YAML.
        output_type: What lm-eval asks of a model: `generate_until`, or one of the types that are
            scored by likelihood, `multiple_choice`, `loglikelihood` and `loglikelihood_rolling`.
        groups: Groups that the task was loaded with.
        own_metrics: Whether the task names its metrics, so that they come first.
    """

    name: str
    version: str
    documents: tuple[Document, ...]
    until: tuple[str, ...]
    data: Mapping[str, Any]
    lm_eval: Any = field(repr=False, compare=False)
    bundled: bool
    definition_sha256: str | None = None
    closed_answers: bool = False
    output_type: str = "generate_until"
    groups: tuple[TaskGroup, ...] = ()
    own_metrics: bool = False

    @property
    def generates(self) -> bool:
        """Whether responses are generated; if not, given texts are scored by likelihood."""
        return self.output_type == "generate_until"

    @property
    def has_references(self) -> bool:
        """Whether a document has a reference."""
        return any(document.references for document in self.documents)

    @property
    def prompts_sha256(self) -> str:
        """SHA-256 of ids and prompts in order; it changes with the template or the limit."""
        return sha256_of_items([d.id, d.requests or d.prompt or d.message] for d in self.documents)


def sha256_of(value: object) -> str:
    """Return the SHA-256 of a value as JSON."""
    return hashlib.sha256(json.dumps(value, ensure_ascii=False).encode()).hexdigest()


def sha256_of_items(items: Iterable[object]) -> str:
    """Return what `sha256_of` gives for the list of the items, with one in memory at a time."""
    digest, start = hashlib.sha256(), "["
    for item in items:
        digest.update(f"{start}{json.dumps(item, ensure_ascii=False)}".encode())
        start = ", "
    digest.update(b"[]" if start == "[" else b"]")
    return digest.hexdigest()
