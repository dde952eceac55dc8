"""PCoreSet: rows to which a model gives as different predictions as possible.

Paper: PCoreSet (ActiveKD), whose code (erjui/PCoreSet) was read: k-centre greedy in the space of
    class probabilities. It begins with the predictions for the labelled rows and takes, again and
    again, the row that is farthest (L2) from the nearest chosen one. Its predictions are a mixture
    of two heads, (1-a) softmax(CE head) + a softmax(KD head / β).
Adapted: the point of a row is the distribution over the first token of the response (the `tokens`
    most likely ones, the others count as 0), or over `labels`; the mixture is of student and
    teacher, (1-a) q + a p, without β.
Ours: without labelled rows (`without=`) the first row is drawn with `seed=`.
With n rows to choose from and k to keep it takes k passes over n points; in memory are the `tokens`
numbers of each row. `removed.jsonl` has the distance of each row to the nearest one that is kept.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field, model_validator

from kdbench.builders.selection import selection_rules
from kdbench.builders.selection.parts.first_token import FirstToken

if TYPE_CHECKING:
    from kdbench.builders.selection.parts.k_centre import KCentre, SparseVectors
    from kdbench.builders.selection.parts.pool import Chosen, Pool
    from kdbench.builders.workshop.workshop import Workshop


@selection_rules.register("pcoreset")
class PCoreSet(FirstToken):
    """Rows whose predictions are as different as possible: k-centre greedy over probabilities."""

    title: ClassVar[str] = "PCoreSet (adapted)"
    paper: ClassVar[str] = "PCoreSet (ActiveKD)"
    basis: ClassVar[str] = "authors' code"
    adapted: ClassVar[str] = "class probabilities to those of the first token or of label words"

    tokens: int = Field(50, ge=1, description="Number of the most likely first tokens that count")

    @model_validator(mode="after")
    def _tokens_or_labels(self) -> "PCoreSet":
        if self.labels and "tokens" in self.model_fields_set:
            raise ValueError("tokens= has no effect with labels=")
        return self

    def choose(self, work: "Workshop", pool: "Pool") -> "Chosen":
        """Choose within each group, beginning far from the labelled rows."""
        from kdbench.builders.selection.parts.k_centre import KCentre, stacked
        from kdbench.builders.selection.parts.pool import Chosen, in_chunks

        labelled: list[SparseVectors] = []
        vectors: dict[str, SparseVectors] = {}
        for rows in in_chunks(pool.labelled_rows()):
            labelled += self.vectors(work, rows, self.tokens).values()
        for rows in pool.chunks():
            vectors |= self.vectors(work, rows, self.tokens)
        chosen = set[str]()
        distances: dict[str, float | None] = dict.fromkeys(vectors)
        for group, count in pool.counts.items():
            names = sorted(name for name in vectors if pool.groups[name] == group)
            if not names or not count:
                continue
            centres = KCentre(stacked([vectors[name] for name in names]))
            for vector in labelled:
                centres.add(vector)
            chosen |= {names[place] for place in self._taken(work, centres, count, group)}
            distances |= zip(names, centres.distances.tolist(), strict=True)
        return Chosen(frozenset(chosen), distances, figures=_figures(distances, chosen))

    def _taken(self, work: "Workshop", centres: "KCentre", count: int, group: str) -> Sequence[int]:
        """The places of the rows that are chosen, in the order of the choice."""
        if centres.has_any:
            return list(centres.farthest(count))
        first = work.random("first row", group).randrange(len(centres))
        centres.take(first)
        return [first, *centres.farthest(count - 1)]


def _figures(distances: Mapping[str, float | None], chosen: set[str]) -> dict[str, float]:
    others = [
        value for name, value in distances.items() if name not in chosen and value is not None
    ]
    if not others:
        return {}
    return {
        "mean distance to the nearest kept": sum(others) / len(others),
        "largest distance to the nearest kept": max(others),
    }
