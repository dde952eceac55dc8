"""What a model is asked: the text of each prompt as it was given, and what its limit removed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kdbench.generate import Prompt
from kdbench.generate.prompts import encode_prompt, prompt_text, text_tokens
from kdbench.protocol import Protocol
from kdbench.store.folder import RunFolder
from kdbench.store.prompts import StoredPrompt
from kdbench.task import Document, Task
from kdbench.views.chat import turns_of, with_system


@dataclass(frozen=True)
class SplitPrompt:
    """The text of a prompt, split at the protocol's limit.

    Attributes:
        kept: Text of the tokens that the model is given.
        removed: Text behind it; None if the backend's tokens are not those of the text.
        n_removed: Number of tokens that were removed; None likewise.
    """

    kept: str
    removed: str | None = ""
    n_removed: int | None = 0


def split_prompt(
    tokenizer: Any, protocol: Protocol, document: Document, ids: Sequence[int]
) -> SplitPrompt:
    """Split the text of a prompt where the protocol's limit cut its tokens.

    Args:
        tokenizer: Tokenizer of the model.
        protocol: Protocol with the prompt's kind and its limit.
        document: Document that is asked.
        ids: The tokens that the model is given.
    """
    text = prompt_text(tokenizer, protocol, document.prompt, document.conversation)
    tokens = text_tokens(tokenizer, text, protocol.add_bos)
    if tokens[: len(ids)] != list(ids):  # the backend encodes differently
        return SplitPrompt(tokenizer.decode(ids), None, None)
    if len(tokens) == len(ids):
        return SplitPrompt(text)
    removed = len(tokens) - len(ids)
    if not tokenizer.is_fast:
        kept = tokenizer.decode(ids)
        return SplitPrompt(kept, tokenizer.decode(tokens[len(ids) :]), removed)
    ends = [end for _, end in token_spans(tokenizer, text)]
    place = ends[len(ends) - removed - 1] if removed < len(ends) else 0
    return SplitPrompt(text[:place], text[place:], removed)


def token_spans(tokenizer: Any, text: str) -> list[tuple[int, int]]:
    """The characters of each token of a text, without special tokens around it.

    Args:
        tokenizer: A fast tokenizer.
        text: The text.

    Returns:
        Start and end of each token.
    """
    encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    spans: list[tuple[int, int]] = encoded["offset_mapping"]
    return spans


def asked(
    task: Task, protocol: Protocol, tokenizer: Any, encoded: Mapping[str, Prompt] | None = None
) -> list[StoredPrompt]:
    """What a task asks, for the file beside the samples.

    Args:
        task: Task with the documents.
        protocol: Protocol of the prompts.
        tokenizer: Tokenizer of the model; None if it is not known.
        encoded: Prompts by document, as the backend encoded them; None encodes them.
    """
    return [_stored(document, protocol, tokenizer, encoded) for document in task.documents]


def asked_options(
    task: Task, requests: Mapping[str, Sequence[tuple[str, ...]]]
) -> list[StoredPrompt]:
    """What a task asks that is scored by likelihood, for the file beside its options.

    Args:
        task: Task with the documents.
        requests: Contexts and continuations, or the text, that a model is given, by document.
    """
    return [
        StoredPrompt(
            id=document.id,
            prompt=asked_context(requests[document.id]),
            cut=None,
            n_prompt_tokens=None,
            references=document.references,
            category=document.category,
        )
        for document in task.documents
    ]


def asked_context(requests: Sequence[tuple[str, ...]]) -> str:
    """Return what a model reads before an option; of a text that is scored as a whole, nothing."""
    return requests[0][0] if len(requests[0]) > 1 else ""


def is_stored(run: RunFolder, task: Task) -> bool:
    """Whether a run stores what a task asked, whole and for these documents.

    Raises:
        InputError: The file is damaged.
    """
    return [prompt.id for prompt in run.prompts(task.name)] == [d.id for d in task.documents]


def _stored(
    document: Document, protocol: Protocol, tokenizer: Any, encoded: Mapping[str, Prompt] | None
) -> StoredPrompt:
    conversation = with_system(document.conversation, protocol.system)
    is_text = isinstance(conversation, str)
    said = document.prompt or (document.message if isinstance(document.message, str) else "")
    split, count = SplitPrompt(said, None, None), None
    if tokenizer is not None:
        if encoded is None:
            ids = encode_prompt(tokenizer, protocol, document.prompt, document.conversation).ids
        else:
            ids = encoded[document.id].ids
        split, count = split_prompt(tokenizer, protocol, document, ids), len(ids)
    return StoredPrompt(
        id=document.id,
        prompt=split.kept,
        cut=split.removed,
        n_prompt_tokens=count,
        messages=() if is_text else tuple(turns_of(conversation)),
        references=document.references,
        category=document.category,
    )
