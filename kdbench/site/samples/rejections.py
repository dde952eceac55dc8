"""Which tokens of a student its teacher rejects most often."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from kdbench.store.token_details import TokenDetails, TokenText

_EXAMPLES = 3
_LOW = 0.5  # acceptance below which a place can be an example
_AT_ONCE = 4096  # responses whose tokens are summed together
_SHOWN = 100  # tokens of the table of a task


@dataclass(frozen=True, order=True, slots=True)
class RejectedPlace:
    """Where a token was rejected.

    Attributes:
        acceptance: Acceptance there.
        document: Number of the document.
        seed: Seed of the response.
        index: Index of the token in the response.
    """

    acceptance: float
    document: int
    seed: int
    index: int


class Rejections:
    """Sums over all responses of a run, by token.

    A token counts as rejected to the extent of 1 - acceptance at its place: the probability that
    the teacher, verifying drafts of the student, would draw another token there.
    """

    def __init__(self) -> None:
        self._count = np.zeros(0)
        self._rejected = np.zeros(0)
        self._waiting: list[tuple[np.ndarray, np.ndarray]] = []
        self._examples: dict[int, list[RejectedPlace]] = {}

    def add(self, details: TokenDetails, document: int) -> None:
        """Add a response.

        Args:
            details: Its tokens.
            document: Number of its document.
        """
        known = ~np.isnan(details.acceptance)
        tokens, acceptance = details.tokens[known], details.acceptance[known]
        self._waiting.append((tokens, acceptance))
        if len(self._waiting) >= _AT_ONCE:
            self._sum()
        places = np.flatnonzero(known)
        for place in np.flatnonzero(acceptance < _LOW).tolist():
            self._add_example(
                int(tokens[place]),
                RejectedPlace(float(acceptance[place]), document, details.seed, int(places[place])),
            )

    def _add_example(self, token: int, example: RejectedPlace) -> None:
        examples = self._examples.setdefault(token, [])
        if len(examples) < _EXAMPLES or example < examples[-1]:
            examples.append(example)
            examples.sort()
            del examples[_EXAMPLES:]

    def _sum(self) -> None:
        """Add the waiting responses to the sums, which are as long as the vocabulary."""
        if not self._waiting:
            return
        tokens, acceptance = (np.concatenate(column) for column in zip(*self._waiting, strict=True))
        self._waiting.clear()
        size = max(len(self._count), 1 + int(tokens.max(initial=0)))
        self._count = _grown(self._count, size) + np.bincount(tokens, minlength=size)
        self._rejected = _grown(self._rejected, size) + np.bincount(tokens, 1 - acceptance, size)

    @property
    def total(self) -> float:
        """All rejections: the sum of 1 - acceptance."""
        self._sum()
        return float(self._rejected.sum())

    def most(self) -> list[int]:
        """Ids of the tokens with most rejections, first the most."""
        self._sum()
        order = np.argsort(-self._rejected, kind="stable")[:_SHOWN]
        return [int(token) for token in order if self._rejected[token] > 0]

    def row(self, token: int) -> dict[str, Any] | None:
        """What is known of a token; None if the student never wrote it."""
        self._sum()
        if not 0 <= token < len(self._count) or not self._count[token]:
            return None
        return {
            "n": int(self._count[token]),
            "rejected": round(float(self._rejected[token]), 3),
            "examples": [
                [example.document, example.seed, example.index, round(example.acceptance, 3)]
                for example in self._examples.get(token, [])
            ],
        }


def rejection_table(
    runs: Mapping[int, tuple[Rejections, Mapping[int, TokenText]]],
) -> list[dict[str, Any]]:
    """The tokens that are rejected most often, over all runs.

    Args:
        runs: Rejections and texts of tokens, by number of the run.

    Returns:
        A row for each token, first the most rejections: its text, and what is known of it by run.
    """
    by_text = {n: {repr(text): t for t, text in texts.items()} for n, (_, texts) in runs.items()}
    shown = {
        repr(texts.get(token, [])): texts.get(token, [])
        for rejections, texts in runs.values()
        for token in rejections.most()
    }
    rows = []
    for key, text in shown.items():
        known = {n: rejections.row(by_text[n].get(key, -1)) for n, (rejections, _) in runs.items()}
        rows.append({"text": text, "runs": {n: row for n, row in known.items() if row}})
    return sorted(rows, key=_all_rejected, reverse=True)[:_SHOWN]


def _all_rejected(row: Mapping[str, Any]) -> float:
    return float(sum(known["rejected"] for known in row["runs"].values()))


def _grown(sums: np.ndarray, size: int) -> np.ndarray:
    return np.pad(sums, (0, size - len(sums)))
