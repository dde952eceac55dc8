"""Continuous batching on the host: which row is in which place, and which row is next."""

from collections.abc import Iterator, Sequence

import torch

from kdbench.generate import Sample
from kdbench.generate.decoding.kinds import Decoding
from kdbench.generate.row.response import Response

# Share of finished rows at which new rows take their places; each time, prompts are run.
_REPLACED_SHARE = 1 / 8


class Loop:
    """The host's side of a decoding.

    Args:
        responses: Responses of all rows of the decoding's queue.
        decoding: Decoding that has begun the first rows.
        keys: Noise keys of every step of each row, int32 of shape (rows, steps, 2).

    Attributes:
        live: Response in each place.
        begun: Number of responses that have begun.
    """

    def __init__(self, responses: Sequence[Response], decoding: Decoding, keys: torch.Tensor):
        self._responses, self._decoding = responses, decoding
        device = decoding.logits.device
        self.begun = len(decoding.logits)
        self.live = list(responses[: self.begun])
        self._all_keys = keys.to(device)
        self._rows = torch.arange(self.begun, device=device)
        self._steps = torch.zeros_like(self._rows)

    def keys(self) -> torch.Tensor:
        """Return the noise keys of each place's next token, int32 of shape (places, 2)."""
        return self._all_keys[self._rows, self._steps]

    def take(self, tokens: torch.Tensor) -> Iterator[Sample]:
        """Give each row its next token, and yield the samples that end with it.

        Args:
            tokens: Next token of each place, int64.
        """
        chosen = tokens.tolist()
        ahead = self._decoding.runs_ahead
        if ahead and any(not r.finished and not r.at_its_last for r in self.live):
            with torch.inference_mode():
                self._decoding.advance(tokens)
        for response, token in zip(self.live, chosen, strict=True):
            if not response.finished and (sample := response.take(token)):
                yield sample

    def advance(self, tokens: torch.Tensor) -> bool:
        """Drop or refill the places of finished rows; return False when nothing is left to decode.

        Args:
            tokens: The tokens that `take` was given.
        """
        free = [place for place, response in enumerate(self.live) if response.finished]
        waiting = len(self._responses) - self.begun if self._decoding.can_replace else 0
        all_finished = len(free) == len(self.live)
        if all_finished and not waiting:
            return False
        with torch.inference_mode():
            # A finished row keeps drawing with its last key; its tokens are not read.
            self._steps.add_(1).clamp_(max=self._all_keys.shape[1] - 1)
            if not waiting and len(free) >= self._decoding.leaving_share * len(self.live):
                tokens = tokens[self._drop_finished()]
            if not self._decoding.runs_ahead and not all_finished:
                self._decoding.advance(tokens)
            if waiting and len(free) >= _REPLACED_SHARE * len(self.live):
                self._fill(free[:waiting])
        return True

    def _fill(self, places: Sequence[int]) -> None:
        rows = range(self.begun, self.begun + len(places))
        self._decoding.replace(places, rows)
        for place, row in zip(places, rows, strict=True):
            self.live[place] = self._responses[row]
        at = torch.tensor(places, device=self._rows.device)
        self._rows[at] = torch.arange(rows.start, rows.stop, device=self._rows.device)
        self._steps[at] = 0
        self.begun = rows.stop

    def _drop_finished(self) -> torch.Tensor:
        """Drop finished rows, and return the places of the others, int64."""
        unfinished = [place for place, response in enumerate(self.live) if not response.finished]
        kept = torch.tensor(unfinished, device=self._rows.device)
        self._decoding.keep(kept)
        self.live = [self.live[place] for place in unfinished]
        self._rows, self._steps = self._rows[kept], self._steps[kept]
        return kept
