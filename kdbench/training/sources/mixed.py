"""Another source, whose rows are mixed with each other."""

import random
from dataclasses import dataclass, field, replace

from kdbench.errors import InputError
from kdbench.training.source import Draw, FromDataset, Source
from kdbench.training.sources.wrapper import Wrapper
from kdbench.views.rollout import Mix, Rollout

PARTNER, SHARE = "partner_token", "own_share"


@dataclass
class MixedRows(Wrapper):
    """Another source; each row is mixed with a random other row of the step on its process.

    λ of each pair is from Beta(`spread`, `spread`). Recorded for each token are the partner's token
    at the same place of its response, as `partner_token`, and λ, as `own_share`, which is 1 where
    the partner has no token.

    Attributes:
        spread: a of Beta(a, a): 1 is uniform, small ones give λ near 0 or 1.
        share: Probability that a row is mixed.
        source: The source of the rows.
    """

    spread: float = 1.0
    share: float = 1.0
    source: Source = field(default_factory=FromDataset)

    def prompts_per_step(self, size: int) -> float:
        """Those of the wrapped source.

        Raises:
            InputError: A step has a single row.
        """
        if size < 2:
            raise InputError(
                "batch_size=1: rows are mixed with others of their step; pass 2 or more"
            )
        return super().prompts_per_step(size)

    def rollouts(self, draw: Draw) -> list[Rollout]:
        """The source's rows, mixed."""
        rows = self.source.rollouts(draw)
        return [self._mixed(rows, place, draw) for place in range(len(rows))]

    def _mixed(self, rows: list[Rollout], place: int, draw: Draw) -> Rollout:
        row, rng = rows[place], random.Random(draw.own_uniform(f"mix {place}"))
        mixes, share = rng.random() < self.share, rng.betavariate(self.spread, self.spread)
        if len(rows) < 2 or not mixes:
            return mixed(row, None)
        other = rng.randrange(len(rows) - 1)
        return mixed(row, Mix(rows[other + (other >= place)], share))

    def __str__(self) -> str:
        return f"{self.source}, mixed"


def mixed(row: Rollout, mix: Mix | None) -> Rollout:
    """A row with its mixture, and what is recorded of it."""
    its = () if mix is None else mix.partner.response_ids[: len(row.response_ids)]
    rest = row.response_ids[len(its) :]
    share = 1.0 if mix is None else mix.share
    recorded = {PARTNER: (*its, *rest), SHARE: (*[share] * len(its), *[1.0] * len(rest))}
    return replace(row, mix=mix).with_recorded(**recorded)
