"""What a judge is asked about a task: one question for each sample, two for each pair."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from kdbench.judging.judge import digest
from kdbench.judging.prompt import JudgePrompt
from kdbench.judging.reply import FIRM, Kind
from kdbench.metrics import Answer
from kdbench.task import Document
from kdbench.views.chat import plain_text

AnswersOfRun = Mapping[int, Sequence[Answer]]
"""Responses by seed, in document order."""

Order = Literal["given", "swapped"]
"""Whether the judged response is shown first or second."""


@dataclass(frozen=True)
class Question:
    """One question to the judge.

    Attributes:
        document: Id of the document.
        seed: Seed of the sample.
        kind: What is asked.
        order: Whether the judged response is shown first or second.
        judge: First digits of the hash of judge and prompt.
        text: What the judge is asked.
        key: Hash of judge, prompt and text; equal questions have equal keys and one reply.
    """

    document: str
    seed: int
    kind: Kind
    order: Order
    judge: str
    text: str = field(repr=False)
    key: str

    def asked(self, number: int) -> str:
        """Return the text for the n-th try."""
        return self.text if number == 1 else f"{self.text}\n\n{FIRM[self.kind]}"


def questions_about(
    documents: Sequence[Document],
    answers: AnswersOfRun,
    others: Mapping[int, Sequence[str]] | None,
    prompt: JudgePrompt,
    identity: str,
) -> Iterator[Question]:
    """Yield the questions about the responses to the documents.

    A pair of equal texts is a tie, whatever a judge may say, and is not asked about.

    Args:
        documents: Documents to judge.
        answers: Responses to judge.
        others: For pairs, the texts to compare with, by seed and in document order.
        prompt: What the judge is asked.
        identity: Hash of judge and prompt.
    """
    for seed, responses in answers.items():
        for index, (document, response) in enumerate(zip(documents, responses, strict=True)):
            if prompt.kind == "score":
                shown: list[tuple[Order, tuple[str, ...]]] = [("given", (response.text,))]
            elif others is None:
                shown = [("given", (response.text, response.references[0]))]
            else:
                pair = (response.text, others[seed][index])
                shown = [("given", pair), ("swapped", pair[::-1])] if len({*pair}) > 1 else []
            for order, texts in shown:
                yield _question(document, seed, order, texts, prompt, identity)


def _question(
    document: Document,
    seed: int,
    order: Order,
    texts: tuple[str, ...],
    prompt: JudgePrompt,
    identity: str,
) -> Question:
    names = ("answer",) if len(texts) == 1 else ("first", "second")
    fields = dict(zip(names, texts, strict=True))
    text = prompt.render(question=plain_text(document.message), **fields)
    key = digest([identity, text])
    return Question(document.id, seed, prompt.kind, order, identity[:8], text, key)
