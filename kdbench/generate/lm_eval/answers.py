"""What a model of lm-eval returns for a row becomes a sample: its thinking, and where it stops."""

from collections.abc import Sequence
from typing import Any

from kdbench.errors import InputError
from kdbench.generate import Row, Sample
from kdbench.generate.lm_eval.models import LMKind
from kdbench.generate.row.text import special_texts
from kdbench.generate.thinking import (
    Marks,
    find_marks,
    marks_in,
    opens_thinking,
    split_thinking,
)
from kdbench.protocol import Protocol


class Answers:
    """Makes samples of the texts that a model returns.

    Args:
        kind: lm-eval's model class.
        protocol: Protocol with what becomes of the thinking.
        tokenizer: Tokenizer of the model; None for a server that encodes prompts itself.

    Attributes:
        marks: Marks around the model's thinking; None for a model that does not think, and for a
            model of which nothing is known.
        has_special_marks: Whether they are special tokens, which lm-eval's models do not return.

    Raises:
        InputError: The marks are special tokens, and the model's texts lack these.
    """

    def __init__(self, kind: LMKind, protocol: Protocol, tokenizer: Any):
        self._tokenizer, self._kept = tokenizer, protocol.thinking == "keep"
        self.marks: Marks | None = None
        if tokenizer is not None:
            self.marks = find_marks(tokenizer, protocol)
        elif protocol.thinking_marks is not None:
            self.marks = Marks(*protocol.thinking_marks)
        special = special_texts(tokenizer, _texts(self.marks)) if tokenizer is not None else []
        self.has_special_marks = bool(special)
        if special and not kind.is_hf and not self._kept:
            raise InputError(
                f"backend=lm_eval:{kind.name}: its texts lack '{special[-1]}', which ends the "
                "model's thinking; use backend=hf or vllm, or pass thinking=keep"
            )

    def requested_stops(self, until: Sequence[str]) -> list[str]:
        """Return the stop strings of a request; none for a model that thinks.

        They would end the thinking too, so `sample` cuts the answer instead.
        """
        return [] if self.marks is not None else list(until)

    def sample(self, row: Row, text: str, until: Sequence[str]) -> Sample:
        """Return the sample of a row.

        Args:
            row: Row that was requested.
            text: What the model returned.
            until: Stop strings, which end the answer.
        """
        marks = self.marks or (marks_in(text) if self._tokenizer is None else None)
        if marks is None:
            return Sample(row.document, row.seed, text)
        opened = self._tokenizer is not None and opens_thinking(
            self._tokenizer, marks, row.prompt_ids
        )
        split = split_thinking(text, marks, opened)
        if not split.unclosed:
            start = split.answer or 0
            text = text[:start] + self._plain(text[start:])
            places = [text.find(stop, start) for stop in until if stop]
            text = text[: min((place for place in places if place >= 0), default=len(text))]
        thinking = text[: len(text) if split.unclosed else split.closed or 0]
        return Sample(
            row.document,
            row.seed,
            text,
            answer_start=None if self._kept else split.answer,
            n_thinking_tokens=self._count(thinking),
            unclosed=split.unclosed,
        )

    def _plain(self, answer: str) -> str:
        """Return an answer without special tokens, which are there if the marks are some."""
        if not self.has_special_marks:
            return answer
        for token in sorted(set(map(str, self._tokenizer.all_special_tokens)), key=len):
            answer = answer.replace(token, "")
        return answer

    def _count(self, text: str) -> int | None:
        """Return the number of tokens of a text, encoded again; None without a tokenizer."""
        if self._tokenizer is None:
            return None
        return len(self._tokenizer(text, add_special_tokens=False)["input_ids"])


def _texts(marks: Marks | None) -> list[str]:
    return [] if marks is None else [marks.start, marks.end]
