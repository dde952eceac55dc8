"""A term of a method on random views and responses."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import torch

from kdbench.methods import Method
from kdbench.testing.table import ENDS, VOCABULARY, WIDTH, TableView, TopKView
from kdbench.training import Batch, Classmate, Example, Rollout, Sizes, Term, Triple
from kdbench.training.compiled import ChunkCompiler
from kdbench.training.loss import Loss, distillation_loss
from kdbench.views.view import UniformView, View

_LAYERS = 2
# Scalars of a token that the sources of kdbench record: a value, a likely log-probability, a share,
# and another token, as all whose names end with `_token`.
RECORDED: Mapping[str, Callable[[random.Random], float]] = {
    "advantage": lambda draw: draw.gauss(0, 1),
    "log_sampled": lambda draw: -3 * draw.random() - 1,
    "private": lambda draw: draw.random(),
    "mixing_gradient": lambda draw: draw.gauss(0, 1),
    "own_share": lambda draw: draw.random(),
    "partner_token": lambda draw: draw.randrange(ENDS, VOCABULARY),
}


@dataclass(frozen=True)
class Case:
    """A term of a method, with what it reads.

    Attributes:
        name: In the names of tests.
        term: The term.
        triple: The method.
        fields: Makes a field of a row's example from the row's number, by name.
        recorded: Draws a recorded scalar of a token, by name.
        schedule: The schedule's values.
        top_k: Whether the views give their likeliest tokens alone.
        context: What the objective is shown before the first step; None shows it nothing.
    """

    name: str
    term: Term
    triple: Triple
    fields: Mapping[str, Callable[[int], Any]] = field(default_factory=dict)
    recorded: Mapping[str, Callable[[random.Random], float]] = field(default_factory=dict)
    schedule: Mapping[str, float] = field(default_factory=dict)
    top_k: bool = False
    context: Any = None
    begun: list[Any] = field(default_factory=list, repr=False, compare=False)

    @property
    def origins(self) -> tuple[str, ...]:
        """The origins of its responses."""
        return self.term.on or self.triple.source.origins or ("dataset", "student", "teacher")

    @property
    def view_names(self) -> list[str]:
        """The views that it reads, without the student."""
        named = {*self.term.objective.views, *self.term.objective.hidden}
        return sorted(named - {"student"})

    @property
    def learns(self) -> bool:
        """Whether the loss has a gradient."""
        return self.schedule.get("teacher_weight") != 0  # the target is the student itself

    def rollouts(self, lengths: Sequence[int] = (4, 1, 6, 3), seed: int = 0) -> list[Rollout]:
        """Responses with the term's origins in turn, in groups if it is averaged over them."""
        draw, size = random.Random(seed), max(2, len(self.origins))
        rows = []
        for number, length in enumerate(lengths):
            name = f"row-{number}"
            prompt = tuple(draw.randrange(ENDS, VOCABULARY) for _ in range(3))
            response = tuple(draw.randrange(ENDS, VOCABULARY) for _ in range(length))
            made = {key: make(number) for key, make in self.fields.items()}
            scalars = {
                key: [make(draw) for _ in response]
                for key, make in {**RECORDED, **self.recorded}.items()
            }
            rollout = Rollout(
                name,
                prompt,
                response,
                self.origins[number % len(self.origins)],
                example=Example(name, prompt, response, fields=made),
                group=f"group-{number // size}" if self.term.per == "group" else None,
                weight=(1.0, 0.5, 2.0)[number % 3],
            )
            rows.append(rollout.with_recorded(**scalars))
        return rows

    def cuts(self, rows: Sequence[Rollout]) -> list[list[list[Rollout]]]:
        """Ways to cut rows into micro-batches that split no group."""
        if self.term.per == "group":
            half = max(2, len(self.origins))
            return [[list(rows[:half]), list(rows[half:])]]
        cuts = ((0, 1, 4), (0, 2, 4), (0, 3, 4), (0, 1, 2, 3, 4))
        return [[list(rows[a:b]) for a, b in pairwise(cut)] for cut in cuts]

    def views(
        self, rows: Sequence[Rollout], dtype: torch.dtype = torch.float64, order: Any = None
    ) -> dict[str, View]:
        """Random views of the rows.

        Args:
            rows: The responses.
            dtype: Of states and heads.
            order: The order of the vocabulary; None leaves it as it is.
        """
        views: dict[str, View] = {"student": TableView(rows, 1, _LAYERS, dtype, order)}
        for seed, name in enumerate(self.view_names, start=2):
            table = TableView(rows, seed, _LAYERS, dtype, order)
            views[name] = TopKView(table, 4) if self.top_k else table
        for companion in self.triple.companions:  # controls are no models of their own
            if isinstance(companion, Classmate) and companion.name in views:
                if companion.kind == "uniform":
                    views[companion.name] = UniformView(VOCABULARY)
                elif companion.kind == "teacher":
                    views[companion.name] = views["teacher"]
        return views

    def parts(self, dtype: torch.dtype = torch.float64) -> dict[str, Any]:
        """The method's own modules."""
        names = ["student", *self.view_names, *self.triple.views]
        sizes = Sizes(dict.fromkeys(names, WIDTH), dict.fromkeys(names, _LAYERS), VOCABULARY)
        torch.manual_seed(7)
        return {name: part.build(sizes).to(dtype) for name, part in self.triple.parts.items()}

    def loss(
        self,
        rows: Sequence[Rollout],
        views: Mapping[str, View],
        parts: Mapping[str, Any],
        amounts: Sequence[int] | None = None,
        chunk: int | None = None,
        diagnose: bool = False,
        compiler: ChunkCompiler | None = None,
    ) -> Loss:
        """The loss by the trainer's own code."""
        batch = Batch(rows)
        schedule = self.schedule
        objective = self.term.objective
        if self.context is not None and not any(objective is one for one in self.begun):
            objective.begin(self.context)
            self.begun.append(objective)
        return distillation_loss(
            [self.term],
            batch,
            views,
            amounts,
            schedule,
            chunk,
            diagnose,
            parts=parts,
            compiler=compiler,
        )


def cases_of(
    method: Method | Triple,
    name: str,
    fields: Mapping[str, Callable[[int], Any]] | None = None,
    recorded: Mapping[str, Callable[[random.Random], float]] | None = None,
    context: Any = None,
) -> list[Case]:
    """The terms of a method's stages, and those that a cache is enough for once more with one.

    Args:
        method: The method with its keys, or a triple.
        name: In the names of tests.
        fields: See `Case`.
        recorded: See `Case`.
        context: See `Case`.
    """
    if isinstance(method, Method):
        triples = list({str(stage.triple): stage.triple for stage in method.stages()}.values())
    else:
        triples = [method]
    terms = [(triple, term) for triple in triples for term in triple.terms]
    for triple in triples:
        triple.check()
    cases = []
    for number, (triple, term) in enumerate(terms):
        case = Case(
            f"{name}-{number}",
            term,
            triple,
            fields or {},
            recorded or {},
            triple.schedule.values(0.5),  # some weights are 0 at the start
            context=context,
        )
        cases.append(case)
        if term.objective.takes_top_k and term.objective.views:
            cases.append(replace(case, name=f"{case.name}-top_k", top_k=True))
    return cases
