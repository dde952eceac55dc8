"""The beginning of each prompt, to know it by in a list."""

from collections import Counter
from collections.abc import Iterator

from kdbench.site.samples.run_samples import RunSamples

_LENGTH = 90  # characters
_COMPARED = 200  # prompts in which the template's lines are found
_OFTEN = 1 / 5  # of them have a line of the template, at least
_BLOCK = 1000


def heads(run: RunSamples | None, count: int) -> list[str]:
    """Short texts that tell prompts apart, by number of the document; empty where unknown.

    Lines that many prompts have, such as those of an instruction template, are left out.

    Args:
        run: Run whose prompts are read.
        count: Number of documents.
    """
    if run is None or run.prompts is None:
        return []
    first = [text for _, text in _asked(run, range(min(count, _COMPARED)))]
    lines = Counter(line for text in first for line in set(text.splitlines()))
    template = {line for line, n in lines.items() if n > max(1, _OFTEN * len(first))}
    texts = [""] * count
    for number, text in _asked(run, range(count)):
        own = " ".join(line for line in text.splitlines() if line not in template)
        texts[number] = " ".join((own or text)[: 4 * _LENGTH].split())[:_LENGTH]
    return texts


def _asked(run: RunSamples, documents: range) -> Iterator[tuple[int, str]]:
    assert run.prompts is not None  # noqa: S101 - for the type checker
    for start in range(0, len(documents), _BLOCK):
        for number, lines in run.prompts.read(documents[start : start + _BLOCK]).items():
            messages = lines[0].get("messages")
            yield number, messages[-1]["content"] if messages else lines[0]["prompt"]
