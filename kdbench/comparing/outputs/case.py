"""The case of a loss: prompt, references, seeds, and both responses with their changes."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from kdbench.comparing.model import ComparedRow, Evidence, ScoresOfSeed, WorstPrompt
from kdbench.comparing.outputs.phrases import loss_line
from kdbench.comparing.word_diff import DiffSpan, shortened_diff
from kdbench.text import DECIMALS, excerpts

_LOSSES_OF_A_ROW = 3
_TEXT_LENGTH = 400  # characters
_REFERENCES = 3
_SEEDS = 10


@dataclass(frozen=True)
class CaseLine:
    """A line of a case.

    Attributes:
        title: What the text is.
        spans: The text; a response's changed words are `gone` or `new`, anything else is `same`.
    """

    title: str
    spans: tuple[DiffSpan, ...]

    def text(self, mark: Callable[[DiffSpan], str]) -> str:
        """The line with its changes marked.

        Args:
            mark: Writes a span.
        """
        return f"{self.title}: {''.join(map(mark, self.spans))}"


def marked(span: DiffSpan) -> str:
    """A span as plain text: `[-gone-]`, `{+new+}`, as `git diff --word-diff` writes them."""
    return {"gone": f"[-{span.text}-]", "new": f"{{+{span.text}+}}"}.get(span.kind, span.text)


def case_lines(row: ComparedRow, prompt: WorstPrompt, length: int) -> list[CaseLine]:
    """The evidence of a prompt; empty if there is none.

    Args:
        row: Row of the prompt.
        prompt: Prompt with a large loss.
        length: Largest number of characters of a text.
    """
    evidence = prompt.evidence
    if evidence is None:
        return []
    lines = []
    if evidence.question is not None:
        lines.append(_plain("prompt", excerpts([evidence.question], length)[0]))
    count = len(evidence.references)
    for number, reference in enumerate(evidence.references[:_REFERENCES], start=1):
        title = "reference" if count == 1 else f"reference {number} of {count}"
        lines.append(_plain(title, excerpts([reference], length)[0]))
    if evidence.seed is not None:
        lines.append(_plain("seeds that differ", _seeds(row, evidence)))
    return [*lines, *_responses(evidence, length)]


def _plain(title: str, text: str) -> CaseLine:
    return CaseLine(title, (DiffSpan("same", text or "(empty)"),))


def _seeds(row: ComparedRow, evidence: Evidence) -> str:
    """The seeds that differ with their scores: `2 of 5: 10 (61.20 → 20.00), 30 (50.00 → 40.00)`."""
    digits = DECIMALS.get(row.unit, 2)
    shown = [_seed(scores, digits) for scores in evidence.differing[:_SEEDS]]
    shown += ["…"] * (len(evidence.differing) > _SEEDS)
    return f"{len(evidence.differing)} of {evidence.n_seeds}: {', '.join(shown)}"


def _seed(scores: ScoresOfSeed, digits: int) -> str:
    # A metric of all responses to a prompt, such as pass@8, has no score of one of them.
    if scores.base is None and scores.new is None:
        return str(scores.seed)
    texts = ["?" if score is None else f"{score:.{digits}f}" for score in (scores.base, scores.new)]
    return f"{scores.seed} ({texts[0]} → {texts[1]})"


def _responses(evidence: Evidence, length: int) -> Iterator[CaseLine]:
    diff = shortened_diff(evidence.diff, length)
    for side, response in (("base", evidence.base), ("new", evidence.new)):
        title = f"{side} chose" if evidence.seed is None else f"{side}, seed {evidence.seed}"
        if response is None:
            yield _plain(title, "(not stored)")
        elif not diff:
            yield _plain(title, excerpts([response], length)[0])
        else:
            unwanted = "new" if side == "base" else "gone"
            spans = tuple(span for span in diff if span.kind != unwanted)
            yield CaseLine(title, spans) if spans else _plain(title, "")


def losses_in_text(row: ComparedRow) -> Iterator[str]:
    """The prompts of a row with the largest losses, with their case; empty without evidence."""
    for prompt in row.worst[:_LOSSES_OF_A_ROW]:
        lines: Sequence[CaseLine] = case_lines(row, prompt, _TEXT_LENGTH)
        if lines:
            yield loss_line(row, prompt)
            yield from (f"  {line.text(marked)}" for line in lines)
