"""What a run asked and answered: from its samples, or from the texts that a baseline keeps."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from kdbench.comparing.samples import ScoredSample, read_choices, read_samples
from kdbench.store.folder import RunFolder
from kdbench.store.prompts import StoredPrompt

_SHARE_OF_TEMPLATE = 0.2


@dataclass(frozen=True)
class PromptTexts:
    """The texts of a prompt.

    Attributes:
        prompt: Text that the model was given, or the turns of a conversation; None if it is not
            stored.
        question: The prompt without the lines that all prompts of the task have in common; None if
            the prompt is not stored.
        references: References of the answer; may be empty.
        samples: Responses with their scores, by seed.
    """

    prompt: str | None
    question: str | None
    references: tuple[str, ...]
    samples: Mapping[int, ScoredSample] = field(repr=False)


TextsOfTask = Mapping[str, PromptTexts]
"""Texts by document id."""


def stored_texts(
    folder: Path, task: str, ids: Collection[str], prompts: bool = True
) -> dict[str, PromptTexts]:
    """The texts of some prompts of a stored run; a prompt of which nothing is stored is left out.

    Args:
        folder: Folder of the run.
        task: Name of the task.
        ids: Document ids of the prompts.
        prompts: Whether prompts and references are read, too.

    Raises:
        InputError: A line of the samples or prompts is malformed.
    """
    by_prompt: dict[str, dict[int, ScoredSample]] = defaultdict(dict)
    wanted = set(ids)
    for sample in _responses(folder, task):
        if sample.document in wanted:
            by_prompt[sample.document][sample.seed] = sample
    stored = RunFolder(folder).prompts(task) if prompts else []
    prompt_of = {prompt.id: prompt for prompt in stored}
    asked = questions({document: _text(prompt) for document, prompt in prompt_of.items()})
    texts = {}
    for document in ids:
        samples = by_prompt.get(document, {})
        if document in prompt_of:
            prompt = prompt_of[document]
            texts[document] = PromptTexts(
                _text(prompt), asked[document], prompt.references, samples
            )
        elif samples:
            texts[document] = PromptTexts(None, None, (), samples)
    return texts


def _responses(folder: Path, task: str) -> Iterator[ScoredSample]:
    """The stored samples of a task, or else the options that the model chose."""
    has_samples = False
    for sample in read_samples(folder, task):
        has_samples = True
        yield sample
    if not has_samples:
        yield from read_choices(folder, task)


def questions(prompts: Mapping[str, str]) -> dict[str, str]:
    """The prompts without the lines of their template.

    A template repeats its instructions in every prompt, and hides the question in an excerpt. A
    task can have several, such as one for prompts with an input. The lines that all prompts of a
    template have in common at their start and end are left out; prompts have the same one if they
    begin with the same line, which a fifth of the task's prompts must share.

    Args:
        prompts: All prompts of a task, by document id.
    """
    by_first_line: dict[str, list[str]] = defaultdict(list)
    for text in dict.fromkeys(prompts.values()):
        by_first_line[text.partition("\n")[0]].append(text)
    least = max(2, _SHARE_OF_TEMPLATE * len(prompts))
    cuts = {
        line: _common_lines(texts) if len(texts) >= least else (0, 0)
        for line, texts in by_first_line.items()
    }
    asked = {}
    for document, text in prompts.items():
        start, end = cuts[text.partition("\n")[0]]
        asked[document] = text[start : len(text) - end].strip() or text
    return asked


def _common_lines(texts: list[str]) -> tuple[int, int]:
    """The number of characters of the whole lines that texts have in common at start and end."""
    start = _common_start(texts).rfind("\n") + 1
    end = _common_start([text[start:][::-1] for text in texts])
    return start, end.rfind("\n") + 1


def _common_start(texts: list[str]) -> str:
    """What all texts begin with; it is enough to compare the first one in order and the last."""
    first, last = min(texts), max(texts)
    equal = (a == b for a, b in zip(first, last, strict=False))
    return first[: [*equal, False].index(False)]


def _text(prompt: StoredPrompt) -> str:
    """The turns of a conversation, without the marks of its template; else the text itself."""
    if len(prompt.messages) == 1:
        return prompt.messages[0]["content"]
    turns = [f"{turn['role']}: {turn['content']}" for turn in prompt.messages]
    return "\n".join(turns) or prompt.prompt
